-- Instances in the instance store: NULL in all three where an instance is not kept.
alter table instances
    add column object_key    text collate "C", -- where it is, from the root of the store
    add column object_bytes  bigint,           -- length of the file
    add column object_blake3 text collate "C"; -- of the file, in hex: tells other pixels from a resend
