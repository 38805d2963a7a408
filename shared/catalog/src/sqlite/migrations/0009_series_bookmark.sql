-- How far the SERIES stream is in the catalogue: every completion and deletion up to there is in the
-- history of its series or study. A catalogue that was restored from a backup lies behind it, and takes
-- up what it lacks before it decides anything. No row: nothing is known of the stream.
create table series_bookmark (
    id             integer primary key check (id = 1),
    stream_created integer not null, -- broker's time at which the stream was made: names it
    last_sequence  integer not null
) strict;
