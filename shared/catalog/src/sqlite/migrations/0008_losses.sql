-- What tells the last event in the catalogue from another one that has its sequence. NULL in a catalogue
-- of before, until its next batch.
alter table bookmark add column last_at integer;         -- broker's time
alter table bookmark add column last_message_id text;    -- Nats-Msg-Id
-- How far the broker's clock was seen to have come: less than last_at where it was set back since.
alter table bookmark add column latest_at integer;

-- Acknowledged events that this catalogue has not: INSTANCES had lost them before they were read, or was
-- replaced by an older copy of itself.
create table losses (
    first_sequence integer not null,
    last_sequence  integer not null,
    cause          text not null,
    noticed_at     integer not null, -- broker's time
    primary key (cause, first_sequence, last_sequence)
) strict, without rowid;
