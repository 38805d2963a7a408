-- Which indexer writes the catalogue. Each take-over raises the epoch, and what was begun under an earlier one
-- is refused. A renewal writes nothing here: it touches the lock's file beside the catalogue.
create table lease (
    shard  integer primary key, -- 0: one indexer writes all of it
    epoch  integer not null,
    holder text not null,       -- for people: host and process
    locked integer not null     -- whether the holder has the lock on the file beside the catalogue
) strict;
