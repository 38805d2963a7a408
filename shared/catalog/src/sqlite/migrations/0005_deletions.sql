-- Series can be deleted. What stays of one is its history, and that it was deleted.

-- The history of a series outlives the series, so it refers to no row.
create table lasting_revisions (
    series_instance_uid text not null,
    revision            integer not null,
    reason              text not null,
    instances_count     integer not null,
    instances_added     integer not null,
    instances_corrected integer not null,
    expected_count      integer,          -- what a trusted source announced, if any did
    calling_ae_title    text,             -- who sent the latest instance
    completed_at        integer not null, -- broker's time; the api's for POST /store
    completed_sequence  integer not null, -- of INSTANCES, up to which it was decided; 0 is unknown
    primary key (series_instance_uid, revision)
) strict, without rowid;

insert into lasting_revisions
select series_instance_uid, revision, reason, instances_count, instances_added,
       instances_corrected, expected_count, calling_ae_title, completed_at, completed_sequence
from revisions;
drop table revisions;
alter table lasting_revisions rename to revisions;

-- Each deletion of each series. It names no patient.
create table deletions (
    series_instance_uid text not null,
    revision            integer not null, -- its last one; 0 when it had never been complete
    deleted_sequence    integer not null, -- of INSTANCES, up to which it was decided
    reason              text not null check (reason in ('requested', 'expired')),
    instances_count     integer not null, -- that went with it
    deleted_at          integer not null, -- broker's time
    primary key (series_instance_uid, revision, deleted_sequence)
) strict, without rowid;
