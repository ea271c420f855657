-- Since when this node has known a head, by its wall clock (ms since the Unix epoch); 0, not known.
ALTER TABLE heads ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;

-- Versions that were heads of the flock here and are superseded, tombstones aside: what people may
-- want back. `text` is that of a symlink (a file's content is in somebody's history). `gone_ms` is
-- when this node learned that it was superseded. Knowledge, and thinned out by age like the history.
-- Read by path, and by age (what was deleted last, what is to go).
CREATE TABLE past (
    path     INTEGER NOT NULL REFERENCES paths (id),
    id       BLOB    NOT NULL,
    record   BLOB    NOT NULL,
    text     BLOB,
    since_ms INTEGER NOT NULL,
    gone_ms  INTEGER NOT NULL,
    PRIMARY KEY (path, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX past_age ON past (gone_ms);
