-- The catalogue: what was received and what was decided. Times are nanoseconds since 1970, UTC.
-- "Broker's time" is the clock of the stream, by which completeness is decided; "receiver's time"
-- is the clock of the machine that received an instance, and only ever shown.
-- Text that was absent is NULL, but for what is part of a key or of the seed's contract: there it
-- is ''. Values are as they were sent, decoded to UTF-8; nothing is normalised.

-- How far the INSTANCES stream has been read: committed with the rows that were read, so that the
-- catalogue is its own bookmark, whatever becomes of the consumer.
create table bookmark (
    id             integer primary key check (id = 1),
    stream_created integer not null, -- broker's time at which the stream was made: names it
    last_sequence  integer not null  -- of the last event in the catalogue
) strict;

-- A patient as a sender identified one. PatientID alone is not unique (two hospitals both have a
-- patient 1), so the whole identification is the key and no sender can rename another's patient.
create table patients (
    id                   integer primary key,
    patient_id           text not null,
    issuer_of_patient_id text not null,
    patient_name         text not null,
    patient_birth_date   text not null,
    patient_sex          text not null,
    unique (patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
) strict;

create table studies (
    study_instance_uid        text primary key, -- '' for data sets that have none
    patient                   integer not null references patients (id),
    study_date                text,
    study_time                text,
    accession_number          text,
    referring_physician_name  text,
    study_id                  text,
    study_description         text,
    timezone_offset_from_utc  text,
    specific_character_set    text
) strict;
create index studies_of_patient on studies (patient);

-- Attributes come from the series' latest instance.
create table series (
    series_instance_uid  text primary key,
    study_instance_uid   text not null references studies (study_instance_uid),
    patient              integer not null references patients (id),
    modality             text,
    series_number        text,
    series_description   text,
    series_date          text,
    series_time          text,
    body_part_examined   text,
    protocol_name        text,
    manufacturer         text,
    manufacturer_model_name text,
    station_name         text,
    institution_name     text,
    timezone_offset_from_utc text,
    specific_character_set   text,
    performed_procedure_step_start_date text,
    performed_procedure_step_start_time text,
    request_attributes   text,               -- JSON list of items, by DICOM keyword
    images_in_acquisition integer,           -- a hint, never proof: see the completion rules
    calling_ae_title     text,               -- who sent the latest instance

    source               text not null check (source in ('dicom', 'api')),
    state                text not null check (state in ('receiving', 'complete')),
    -- Instances disagreed on PatientID or StudyInstanceUID; the latest is kept.
    disagrees            integer not null default 0 check (disagrees in (0, 1)),
    last_activity_at     integer,            -- broker's time; the open series are restored from it
    first_received_at    integer,            -- receiver's time
    last_received_at     integer,            -- receiver's time

    -- As of the last completion; a series that was reopened keeps showing these.
    revision             integer not null default 0,
    reason               text,
    instances_count      integer not null default 0, -- counted rows; the claim, for source 'api'
    claimed_count        integer,            -- what POST /store said, kept apart from what was counted
    first_completed_at   integer,            -- broker's time; receiver's for POST /store
    completed_at         integer,
    completed_sequence   integer not null default 0 -- of INSTANCES, up to which it was decided
) strict;
create index series_of_study on series (study_instance_uid);
create index open_series on series (series_instance_uid) where state = 'receiving';
-- GET /series: those that were ever completed, oldest first.
create index completed_series on series (first_completed_at) where revision > 0;

create table instances (
    sop_instance_uid     text primary key,
    series_instance_uid  text not null references series (series_instance_uid),
    sop_class_uid        text not null,
    transfer_syntax_uid  text not null,
    instance_number      text,
    rows                 integer,
    columns              integer,
    bits_allocated       integer,
    number_of_frames     integer,            -- frames are not instances; both are kept
    image_type           text,
    acquisition_number   text,
    acquisition_date     text,
    acquisition_time     text,
    content_date         text,
    content_time         text,
    frame_of_reference_uid text,
    bytes                integer not null,   -- length of the data set as received
    digest               text not null,      -- of the decoded attributes: tells a resend from a correction
    association_id       text not null,
    received_at          integer not null,   -- receiver's time
    added_sequence       integer not null,   -- of INSTANCES: when it came into this series
    stream_sequence      integer not null    -- of INSTANCES: what these attributes are from
) strict;
create index instances_of_series on instances (series_instance_uid, added_sequence);

-- Announcements that were decided and not yet acknowledged by the broker. Written in the
-- transaction of what they announce, so neither exists without the other.
create table outbox (
    -- Never used twice: what is acknowledged is forgotten up to an id.
    id         integer primary key autoincrement,
    subject    text not null,
    message_id text not null unique,
    time       integer not null,
    payload    text not null
) strict;
