-- The catalogue: what was received and what was decided. Times are nanoseconds since 1970, UTC.
-- "Broker's time" is the clock of the stream, by which completeness is decided; "receiver's time"
-- is the clock of the machine that received an instance, and only ever shown.
-- Text that was absent is NULL, except in keys and in what GET /series has always given: there it is ''.
-- Values are as they were sent, decoded to UTF-8; only U+0000, which PostgreSQL can't keep, is replaced.
-- What is a key or is sorted compares byte by byte (collate "C"), whatever locale the database has.

-- How far the INSTANCES stream has been read, committed with the rows that were read; and who may write.
-- Each transaction that writes locks this row first, so that they follow each other.
create table bookmark (
    shard           bigint primary key,
    stream_created  bigint,            -- broker's time at which the stream was made: names it; NULL before it was read
    last_sequence   bigint not null default 0, -- of the last event in the catalogue
    last_at         bigint,            -- broker's time of that event
    last_message_id text,              -- its Nats-Msg-Id
    latest_at       bigint,            -- how far the broker's clock was seen to have come
    holder          text,              -- name of the indexer that has the lease
    epoch           bigint not null default 0, -- raised each time that the lease is taken
    expires_at      timestamptz not null default '-infinity' -- of the lease, by the clock of this database
);
insert into bookmark (shard) values (0);

-- A patient as a sender identified one. PatientID alone is not unique (two hospitals both have a
-- patient 1), so the whole identification is the key and no sender can rename another's patient.
create table patients (
    id                   bigint generated always as identity primary key,
    -- BLAKE3 of the five texts: an index entry has at most 2.7 KB, and the texts have no such bound.
    key                  bytea not null unique,
    patient_id           text collate "C" not null,
    issuer_of_patient_id text collate "C" not null,
    patient_name         text collate "C" not null,
    patient_birth_date   text collate "C" not null,
    patient_sex          text collate "C" not null
);
-- The beginning only, for the same reason. A search names the expression and the whole value.
create index patients_by_patient_id on patients (left(patient_id, 128));
-- Those that are found by that index otherwise, and have padding or several values: hardly any.
create index odd_patients on patients (id)
where patient_id <> btrim(patient_id) or strpos(patient_id, '\') > 0;

create table studies (
    study_instance_uid        text collate "C" primary key, -- '' for data sets that have none
    arrival                   bigint generated always as identity unique, -- the order in which they came
    patient                   bigint not null references patients (id),
    study_date                text collate "C",
    study_time                text collate "C",
    accession_number          text collate "C",
    referring_physician_name  text collate "C",
    study_id                  text collate "C",
    study_description         text collate "C",
    timezone_offset_from_utc  text collate "C",
    specific_character_set    text collate "C",
    face                      bigint,  -- fingerprint of what was last written; NULL is unknown, and written
    disagrees                 boolean not null default false -- its series were ever of several patients
);
create index studies_of_patient on studies (patient);
-- ACR-NEMA writes a date as `1993.12.31`.
create index studies_by_day on studies (replace(left(study_date, 32), '.', ''));
create index studies_by_accession_number on studies (left(accession_number, 128));
create index odd_accession_numbers on studies (study_instance_uid)
where accession_number <> btrim(accession_number) or strpos(accession_number, '\') > 0;
create index disagreeing_studies on studies (study_instance_uid) where disagrees;

-- Attributes come from the series' latest instance.
create table series (
    series_instance_uid  text collate "C" primary key,
    arrival              bigint generated always as identity unique, -- the order in which they came
    study_instance_uid   text collate "C" not null references studies (study_instance_uid),
    patient              bigint not null references patients (id),
    modality             text collate "C",
    series_number        text collate "C",
    series_description   text collate "C",
    series_date          text collate "C",
    series_time          text collate "C",
    body_part_examined   text collate "C",
    protocol_name        text collate "C",
    manufacturer         text collate "C",
    manufacturer_model_name text collate "C",
    station_name         text collate "C",
    institution_name     text collate "C",
    timezone_offset_from_utc text collate "C",
    specific_character_set   text collate "C",
    performed_procedure_step_start_date text collate "C",
    performed_procedure_step_start_time text collate "C",
    request_attributes   jsonb,              -- list of items, by DICOM keyword
    images_in_acquisition bigint,            -- a hint, never proof: see the completion rules
    calling_ae_title     text collate "C",   -- who sent the latest instance

    source               text collate "C" not null check (source in ('dicom', 'api')),
    state                text collate "C" not null check (state in ('receiving', 'complete')),
    -- Instances disagreed on the patient or StudyInstanceUID; the latest is kept.
    disagrees            boolean not null default false,
    last_activity_at     bigint,             -- broker's time; the open series are restored from it
    first_received_at    bigint,             -- receiver's time
    last_received_at     bigint,             -- receiver's time
    face                 bigint,             -- fingerprint of what was last written

    -- As of the last completion; a series that was reopened keeps showing these.
    revision             bigint not null default 0,
    reason               text collate "C",
    instances_count      bigint not null default 0, -- counted rows; the claim, for source 'api'
    expected_count       bigint,
    claimed_count        bigint,             -- what POST /store said, kept apart from what was counted
    first_completed_at   bigint,             -- broker's time
    completed_at         bigint,
    completed_sequence   bigint not null default 0, -- of INSTANCES, up to which it was decided
    -- Rebuilt from a record that begins in the middle: instances are missing from its rows.
    partial              boolean not null default false,
    -- The last completion is held back for a person, since its instances disagree.
    held                 boolean not null default false
);
create index series_of_study on series (study_instance_uid);
create index series_of_patient on series (patient);
create index receiving_series on series (arrival) where state = 'receiving';
create index disagreeing_series on series (series_instance_uid) where disagrees;
-- GET /series: those that were ever completed, oldest first; and what is new since.
create index completed_series on series (first_completed_at, arrival) where revision > 0;
create index series_by_completion on series (completed_at, arrival) where revision > 0;

-- No foreign keys: each would be looked up for each row of a backlog. Its series are written before them.
create table instances (
    sop_instance_uid     text collate "C" primary key,
    series_instance_uid  text collate "C" not null,
    sop_class_uid        text collate "C" not null,
    transfer_syntax_uid  text collate "C" not null,
    instance_number      text collate "C",
    rows                 integer,
    columns              integer,
    bits_allocated       integer,
    number_of_frames     integer,            -- frames are not instances; both are kept
    image_type           text collate "C",
    acquisition_number   text collate "C",
    acquisition_date     text collate "C",
    acquisition_time     text collate "C",
    content_date         text collate "C",
    content_time         text collate "C",
    frame_of_reference_uid text collate "C",
    bytes                bigint not null,    -- length of the data set as received
    digest               text collate "C" not null, -- of the decoded attributes: tells a resend from a correction
    association_id       text collate "C" not null,
    received_at          bigint not null,    -- receiver's time
    added_sequence       bigint not null,    -- of INSTANCES: when it came into this series
    stream_sequence      bigint not null,    -- of INSTANCES: what these attributes are from
    -- Of `identities`, where its series disagrees; NULL is what the series says.
    identity             bigint
);
create index instances_of_series on instances (series_instance_uid, added_sequence);
create index instances_of_identity on instances (identity) where identity is not null;

-- A study and a patient that instances of a series name which disagree on it. A series whose instances
-- agree has none.
create table identities (
    id                  bigint generated always as identity primary key,
    series_instance_uid text collate "C" not null,
    study_instance_uid  text collate "C" not null,
    patient             bigint not null references patients (id),
    unique (series_instance_uid, study_instance_uid, patient)
);
create index identities_of_study on identities (study_instance_uid);
create index identities_of_patient on identities (patient);

-- The series that are arriving, as the rules see them: written in the transaction of the rows that
-- it follows from, so that a restart forgets nothing.
create table open_series (
    series_instance_uid text collate "C" primary key,
    state               text not null -- JSON; only the completion rules look into it
);

-- Each completion of each series. It outlives the series, so it refers to no row.
create table revisions (
    series_instance_uid text collate "C" not null,
    revision            bigint not null,
    reason              text collate "C" not null,
    instances_count     bigint not null,
    instances_added     bigint not null,
    instances_corrected bigint not null,
    expected_count      bigint,          -- what a trusted source announced, if any did
    calling_ae_title    text collate "C", -- who sent the latest instance
    completed_at        bigint not null, -- broker's time
    completed_sequence  bigint not null, -- of INSTANCES, up to which it was decided; 0 is unknown
    primary key (series_instance_uid, revision)
);

-- Each deletion of each series. It names no patient.
create table deletions (
    series_instance_uid text collate "C" not null,
    revision            bigint not null, -- its last one; 0 when it had never been complete
    deleted_sequence    bigint not null, -- of INSTANCES, up to which it was decided
    reason              text collate "C" not null check (reason in ('requested', 'expired')),
    instances_count     bigint not null, -- that went with it
    deleted_at          bigint not null, -- broker's time
    primary key (series_instance_uid, revision, deleted_sequence)
);

-- Studies of which a series was complete since the study itself was: it is not yet, or not again.
create table open_studies (
    study_instance_uid text collate "C" primary key,
    last_completed_at  bigint -- of its series, broker's time; NULL after POST /store, which has none
);

-- Each completion of each study. Like that of a series it outlives the study.
create table study_revisions (
    study_instance_uid text collate "C" not null,
    revision           bigint not null,
    reason             text collate "C" not null,
    series_count       bigint not null,
    instances_count    bigint not null,
    completed_at       bigint not null, -- broker's time
    completed_sequence bigint not null, -- of INSTANCES, up to which it was decided
    primary key (study_instance_uid, revision)
);

-- Who sends, and which evidence of theirs has proved wrong. Disproved evidence is not used until an
-- operator resets it.
create table sources (
    calling_ae_title      text collate "C" primary key,
    last_seen_at          bigint not null, -- broker's time
    released_disproved_at bigint,          -- broker's time
    released_disproved_by text collate "C", -- the series that grew again
    expected_disproved_at bigint,
    expected_disproved_by text collate "C"
);

-- Announcements that were decided and not yet acknowledged by the broker. Written in the
-- transaction of what they announce, so neither exists without the other.
create table outbox (
    id         bigint generated always as identity primary key,
    subject    text collate "C" not null,
    message_id text collate "C" not null unique,
    time       bigint not null,
    payload    text not null,
    held       text -- why it is not announced but becomes a dead letter
);

-- Acknowledged events that this catalogue has not: INSTANCES had lost them before they were read, or was
-- replaced by an older copy of itself.
create table losses (
    first_sequence bigint not null,
    last_sequence  bigint not null,
    cause          text collate "C" not null,
    noticed_at     bigint not null, -- broker's time
    primary key (cause, first_sequence, last_sequence)
);

-- How far the SERIES stream is in the catalogue. No row: nothing is known of the stream.
create table series_bookmark (
    shard          bigint primary key,
    stream_created bigint not null, -- broker's time at which the stream was made: names it
    last_sequence  bigint not null
);

-- How far each webhook is in SERIES, as its consumer on the broker said: if that is lost, the next one begins
-- there. Written by the api.
create table webhooks (
    name           text collate "C" primary key,
    series_created bigint not null, -- when SERIES was made, which tells it from a later one of its name
    delivered      bigint not null  -- sequence of SERIES up to which everything was taken, or is a dead letter
);
