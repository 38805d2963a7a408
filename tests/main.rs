//! The pipeline from outside: real senders, a real broker, real files, processes that are killed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the harness is a library to the tests beside it")]

mod harness;

mod allowing;
mod api;
mod attacks;
mod auditing;
mod broker_trouble;
mod browsing;
mod catalogue_trouble;
mod catching_up;
mod chaos;
mod clustering;
mod completing;
mod containers;
mod dead_letters;
mod deleting;
mod dicomweb;
mod doctor_command;
mod durability;
mod encrypting;
mod events;
mod evidence;
mod examples;
mod filling_up;
mod hostile;
mod https;
mod least_privilege;
mod listening;
mod lost_events;
mod manual;
mod metrics;
mod nats_credentials;
mod nats_tls;
mod oidc;
mod orthanc;
mod pseudonyms;
mod pydicom_files;
mod receiving;
mod refusals;
mod replaying;
mod schemas;
mod series_command;
mod specification;
mod starting;
mod stopping;
mod streams;
mod studies;
mod syslog;
mod tokens;
mod webhooks;
