-- The pauses inside series of a source: completion::Pauses as JSON. NULL where none is known.
alter table sources add column pauses text;
