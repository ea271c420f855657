-- The extended attributes of a file, in the encoding of `flocksy.sync.attributes`: what the disk showed
-- (`local`), and what it showed when the flock last got to know of them (`synced`). NULL: of something
-- that has none, or not asked for, or more than is synced.
ALTER TABLE local ADD COLUMN attributes BLOB;
ALTER TABLE synced ADD COLUMN attributes BLOB;
