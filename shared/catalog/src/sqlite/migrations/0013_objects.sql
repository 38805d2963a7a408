-- Instances in the instance store: NULL in all three where an instance is not kept.
alter table instances add column object_key text;      -- where it is, from the root of the store
alter table instances add column object_bytes integer; -- length of the file
alter table instances add column object_blake3 text;   -- of the file, in hex: tells other pixels from a resend
