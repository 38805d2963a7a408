-- When studies are complete.

-- Studies of which a series was complete since the study itself was: it is not yet, or not again.
create table open_studies (
    study_instance_uid text primary key,
    last_completed_at  integer -- of its series, broker's time; NULL after POST /store, which has none
) strict, without rowid;

-- Each completion of each study. Like that of a series it outlives the study.
create table study_revisions (
    study_instance_uid text not null,
    revision           integer not null,
    reason             text not null,
    series_count       integer not null,
    instances_count    integer not null,
    completed_at       integer not null, -- broker's time
    completed_sequence integer not null, -- of INSTANCES, up to which it was decided
    primary key (study_instance_uid, revision)
) strict, without rowid;
