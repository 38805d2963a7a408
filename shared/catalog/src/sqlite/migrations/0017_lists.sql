-- Lists of instances by storage commitment, MPPS and IAN that are still to be met: completion::List by its key.
create table lists (
    list text not null primary key,
    state text not null
) strict;

-- When, in the broker's time, and by which series it was shown that lists of the instances of a source are not whole.
alter table sources add column confirmed_disproved_at integer;
alter table sources add column confirmed_disproved_by text;
alter table sources add column performed_disproved_at integer;
alter table sources add column performed_disproved_by text;
alter table sources add column available_disproved_at integer;
alter table sources add column available_disproved_by text;
