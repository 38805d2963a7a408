-- Files and folders of the instance store that nothing names any more. Only an indexer with a store lists any.
create table objects_to_remove (
    id                  bigint generated always as identity primary key,
    place               text collate "C" not null unique, -- from the root of the store
    folder              boolean not null,
    sop_instance_uid    text collate "C" not null, -- that the file is of; empty of a folder
    series_instance_uid text collate "C" not null,
    bytes               bigint,          -- length of the file
    reason              text collate "C" not null,
    listed_at           bigint not null  -- broker's time
);

-- When the files of a revision and its folder were listed there; NULL where they are in the store, if they ever were.
alter table revisions
    add column removed_at bigint; -- broker's time

-- Length of the files of a series, together, as of its last completion; NULL where it has none. What has files is found
-- by its age, and added up, by an index of those alone.
alter table series
    add column store_bytes bigint;
create index series_with_files on series (completed_at, store_bytes) where store_bytes > 0;
