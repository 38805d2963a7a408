-- Revisions of series that are to be folders of the instance store. Only an indexer with a store lists any.
create table series_to_keep (
    series_instance_uid    text collate "C" not null,
    revision               bigint not null,
    study_instance_uid     text collate "C" not null,
    modality               text collate "C",
    reason                 text collate "C" not null,
    completed_at           bigint not null, -- broker's time: the oldest is kept first
    instances_without_file bigint not null, -- of the revision, counted where it was complete
    -- The files of the revision as it was complete: a JSON list of [SOP Instance UID, key, bytes, BLAKE3].
    objects                text not null,
    -- Its announcement is held back for a person: until that goes out, nothing is said of files either.
    held                   boolean not null default false,
    primary key (series_instance_uid, revision)
);
create index series_to_keep_by_age on series_to_keep (completed_at, series_instance_uid, revision);

-- Where the folder of a revision is; NULL in both where there is none (yet).
alter table revisions
    add column kept_at    bigint,           -- the indexer's clock
    add column kept_place text collate "C"; -- from the root of the store
