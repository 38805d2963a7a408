-- What the completion rules go by, and a record of what they decided.

-- It said which series were open; the table below says more.
drop index open_series;

-- The series that are arriving, as the rules see them: written in the transaction of the rows that
-- it follows from, so that a restart forgets nothing.
create table open_series (
    series_instance_uid text primary key references series (series_instance_uid),
    state               text not null -- JSON; only the completion rules look into it
) strict;

insert into open_series
select series_instance_uid,
       json_object('OpenedAtNanoseconds', last_activity_at,
                   'LastActivityNanoseconds', last_activity_at,
                   'Source', coalesce(calling_ae_title, ''))
from series where state = 'receiving';

-- Each completion of each series.
create table revisions (
    series_instance_uid text not null references series (series_instance_uid),
    revision            integer not null,
    reason              text not null,
    instances_count     integer not null,
    instances_added     integer not null,
    instances_corrected integer not null,
    expected_count      integer,          -- what a trusted source announced, if any did
    calling_ae_title    text,             -- who sent the latest instance
    completed_at        integer not null, -- broker's time; the api's for POST /store
    completed_sequence  integer not null, -- of INSTANCES, up to which it was decided; 0 for POST /store
    primary key (series_instance_uid, revision)
) strict, without rowid;

-- Of what was decided before there was a record, the last revision is known.
insert into revisions
select series_instance_uid, revision, reason, instances_count, instances_count, 0, null,
       calling_ae_title, completed_at, completed_sequence
from series where revision > 0;

alter table series add column expected_count integer;
-- Rebuilt from a record that begins in the middle: instances are missing from its rows.
alter table series add column partial integer not null default 0 check (partial in (0, 1));

-- Who sends, and which evidence of theirs has proved wrong: a series that was complete by it grew
-- again within the quiet period. Disproved evidence is not used until an operator resets it.
create table sources (
    calling_ae_title      text primary key,
    last_seen_at          integer not null, -- broker's time
    released_disproved_at integer,          -- broker's time
    released_disproved_by text,             -- the series that grew again
    expected_disproved_at integer,
    expected_disproved_by text
) strict;

insert into sources (calling_ae_title, last_seen_at)
select calling_ae_title, max(last_activity_at) from series
where calling_ae_title is not null and last_activity_at is not null group by calling_ae_title;
