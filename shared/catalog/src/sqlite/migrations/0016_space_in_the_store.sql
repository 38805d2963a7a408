-- Files and folders of the instance store that nothing names any more. Only an indexer with a store lists any.
create table objects_to_remove (
    -- Never used twice: what was listed by a moment is what has ids up to the last of then.
    id                  integer primary key autoincrement,
    place               text not null unique, -- from the root of the store
    folder              integer not null check (folder in (0, 1)),
    sop_instance_uid    text not null, -- that the file is of; empty of a folder
    series_instance_uid text not null,
    bytes               integer,       -- length of the file
    reason              text not null,
    listed_at           integer not null -- broker's time
) strict;

-- When the files of a revision and its folder were listed there; NULL where they are in the store, if they ever were.
alter table revisions add column removed_at integer; -- broker's time

-- Length of the files of a series, together, as of its last completion; NULL where it has none. What has files is found
-- by its age, and added up, by an index of those alone.
alter table series add column store_bytes integer;
create index series_with_files on series (completed_at, store_bytes) where store_bytes > 0;
