-- Revisions of series that are to be folders of the instance store. Only an indexer with a store lists any.
create table series_to_keep (
    series_instance_uid    text not null,
    revision               integer not null,
    study_instance_uid     text not null,
    modality               text,
    reason                 text not null,
    completed_at           integer not null, -- broker's time: the oldest is kept first
    instances_without_file integer not null, -- of the revision, counted where it was complete
    -- The files of the revision as it was complete: a JSON list of [SOP Instance UID, key, bytes, BLAKE3].
    objects                text not null,
    -- Its announcement is held back for a person: until that goes out, nothing is said of files either.
    held                   integer not null default 0 check (held in (0, 1)),
    primary key (series_instance_uid, revision)
) strict;
create index series_to_keep_by_age on series_to_keep (completed_at, series_instance_uid, revision);

-- Where the folder of a revision is; NULL in both where there is none (yet).
alter table revisions add column kept_at integer; -- the indexer's clock
alter table revisions add column kept_place text; -- from the root of the store
