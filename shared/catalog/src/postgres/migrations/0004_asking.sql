-- What is known of a source that is asked how many instances it has: completion::AskedSource, NULL of one that is not.
alter table sources
    add column asking text collate "C";
