-- What is written of a series and its study, as a number: an instance that says the same of them as
-- the one before it, as most do, need not write them again. NULL is unknown, and written.
alter table series add column face integer;
alter table studies add column face integer;
