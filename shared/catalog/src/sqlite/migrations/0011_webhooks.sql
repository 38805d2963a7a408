-- How far each webhook is in SERIES, as its consumer on the broker said: if that is lost, the next one begins
-- there. Written by the api.
create table webhooks (
    name           text primary key,
    series_created integer not null, -- when SERIES was made, which tells it from a later one of its name
    delivered      integer not null  -- sequence of SERIES up to which everything was taken, or is a dead letter
) strict, without rowid;
