-- What a node knows of one box. `synced`, `heads`, `superseded`, `outgoing`, `history` and
-- `remembered` are knowledge; the rest is a cache that a scan rebuilds.
--
-- Paths are bytes (what the file system said), since not every file name is text. All times are
-- integers with the unit in the name. Inodes and devices are stored as signed 64-bit numbers.

-- One row per path that any other table names, and for each of its parents; the box itself is the
-- row with the empty path. Rows stay: a path once seen is nearly always remembered for ever, as a
-- tombstone. `heads` counts the flock's heads here, `live` says whether one is no tombstone, and
-- `live_below` counts the children that are shown, so that a directory's living children are
-- found without reading its dead ones. A child is shown when it is live or has shown children.
CREATE TABLE paths (
    id         INTEGER PRIMARY KEY,
    path       BLOB    NOT NULL UNIQUE,
    parent     INTEGER REFERENCES paths (id),
    heads      INTEGER NOT NULL DEFAULT 0,
    live       INTEGER NOT NULL DEFAULT 0,
    live_below INTEGER NOT NULL DEFAULT 0
) STRICT;
-- For the planner: the shown children of a directory, and the paths with more than one head.
CREATE INDEX paths_shown ON paths (parent) WHERE live + live_below > 0;
CREATE INDEX paths_conflicted ON paths (id) WHERE heads > 1;

-- What the disk showed at a path when it was last scanned or written; no row, nothing there.
-- `settled` 0: the scan was so soon after the last change that a later one could look the same, so
-- the entry is hashed once more. `root` is empty for directories.
CREATE TABLE local (
    path     INTEGER PRIMARY KEY REFERENCES paths (id),
    parent   INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    mode     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    root     BLOB    NOT NULL,
    inode    INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    device   INTEGER NOT NULL,
    settled  INTEGER NOT NULL
) STRICT;
-- For the scanner (what was known in a directory), for content that is already here under another
-- name, and for what is to be hashed again.
CREATE INDEX local_parent ON local (parent);
CREATE INDEX local_root ON local (root);
CREATE INDEX local_unsettled ON local (path) WHERE settled = 0;

-- What this disk was last seen to hold of the flock. `heads` is the 16-byte ids one after the
-- other, sorted, `generation` the largest of theirs. `kind` and what follows is what was read back after applying; all NULL: seen
-- absent. `copy_owner` and `copy_head` are set where the path is the conflict copy of a head.
CREATE TABLE synced (
    path       INTEGER PRIMARY KEY REFERENCES paths (id),
    heads      BLOB    NOT NULL,
    kind       INTEGER,
    mode       INTEGER,
    mtime_ns   INTEGER,
    size       INTEGER,
    root       BLOB,
    inode      INTEGER,
    ctime_ns   INTEGER,
    device     INTEGER,
    copy_owner INTEGER REFERENCES paths (id),
    copy_head  BLOB,
    generation INTEGER NOT NULL
) STRICT;
-- For telling what of a changed file the others have (small files travel whole), and for planning at
-- an owner: its copies on this disk.
CREATE INDEX synced_root ON synced (root) WHERE size > 4096;
CREATE INDEX synced_copies ON synced (copy_owner) WHERE copy_owner IS NOT NULL;

-- The heads of a path. `seen` is a sum: 1, a head of the flock as this node knows it; 2, a head of
-- what the lanes have carried. A version made here and not sent yet is 1, the one it supersedes is
-- still 2, everything else is 3. Digests and answers to peers read the second, so that nobody
-- can tell from them who has news.
CREATE TABLE heads (
    path   INTEGER NOT NULL REFERENCES paths (id),
    id     BLOB    NOT NULL,
    record BLOB    NOT NULL,
    kind   INTEGER NOT NULL,
    seen   INTEGER NOT NULL,
    PRIMARY KEY (path, id)
) STRICT, WITHOUT ROWID;

-- Every version of a path that another one superseded, with the content that was replaced then
-- (empty: only metadata changed, there was no content, or it is not known). Never forgotten: it is
-- what keeps old content from coming back as news. `number` is the order in which they became
-- known. `carried` 1: a lane has carried this; 0: it follows from a version still to be sent; 2: only
-- the root does.
CREATE TABLE superseded (
    number  INTEGER PRIMARY KEY,
    path    INTEGER NOT NULL REFERENCES paths (id),
    id      BLOB    NOT NULL,
    root    BLOB    NOT NULL,
    carried INTEGER NOT NULL,
    UNIQUE (path, id)
) STRICT;

-- Paths with heads that no lane has carried yet, when they may be offered, and the mark of the
-- scan that found them.
CREATE TABLE outgoing (
    path   INTEGER PRIMARY KEY REFERENCES paths (id),
    batch  BLOB    NOT NULL,
    due_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX outgoing_due ON outgoing (due_ms);

-- One row per path the lanes have carried, for reconciliation: `key` is a hash of the path, `item`
-- a hash of the path and its carried heads. Sums over ranges are kept in memory.
CREATE TABLE items (
    key  BLOB    PRIMARY KEY,
    path INTEGER NOT NULL UNIQUE REFERENCES paths (id),
    item BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- Contents by root: of files on this disk, in the history, on their way in, and of symlinks. A row
-- whose root nothing names any more is dropped now and then.
CREATE TABLE contents (
    number INTEGER PRIMARY KEY,
    root   BLOB    NOT NULL UNIQUE
) STRICT;

-- The chunks of a file content. Where a chunk lies on this disk follows from `local.root`, so
-- renames and copies write nothing here. Read by content (what is missing) and by id (copy instead
-- of fetch, serve to others).
CREATE TABLE chunks (
    content INTEGER NOT NULL REFERENCES contents (number),
    start   INTEGER NOT NULL,
    length  INTEGER NOT NULL,
    id      BLOB    NOT NULL,
    PRIMARY KEY (content, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX chunks_id ON chunks (id);

-- Kept whole on behalf of a content: lists of chunks, the text of a symlink, a small file that
-- came inside a message and is not applied yet. Read by id.
CREATE TABLE blobs (
    number  INTEGER PRIMARY KEY,
    content INTEGER NOT NULL REFERENCES contents (number),
    id      BLOB    NOT NULL,
    data    BLOB    NOT NULL,
    UNIQUE (content, id)
) STRICT;
CREATE INDEX blobs_id ON blobs (id);

-- Content that the view of the flock needs on this disk and that is not complete.
CREATE TABLE wants (
    path       INTEGER NOT NULL REFERENCES paths (id),
    version_id BLOB    NOT NULL,
    root       BLOB    NOT NULL,
    size       INTEGER NOT NULL,
    since_ms   INTEGER NOT NULL,
    PRIMARY KEY (path, version_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX wants_since ON wants (since_ms);
CREATE INDEX wants_root ON wants (root);

-- The open batch of the applier, in its order. Written before the first rename and emptied in the
-- transaction that moves `synced`. `plan` is the applier's own encoding.
CREATE TABLE journal (
    number INTEGER PRIMARY KEY,
    path   BLOB    NOT NULL,
    plan   BLOB    NOT NULL
) STRICT;
CREATE INDEX journal_path ON journal (path);

-- What lies in `.flocksy/history/`, under `name` there. Read by age (retention), by path
-- (restoring) and by root (its chunks may still be served).
CREATE TABLE history (
    name       BLOB    PRIMARY KEY,
    path       BLOB    NOT NULL,
    version_id BLOB,
    root       BLOB    NOT NULL,
    size       INTEGER NOT NULL,
    kept_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX history_age ON history (kept_ms);
CREATE INDEX history_path ON history (path, kept_ms);
CREATE INDEX history_root ON history (root);

-- Small named values: the marker's secret and nonce, the file system's device.
CREATE TABLE remembered (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
