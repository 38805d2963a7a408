//! The catalogue on real databases: what is counted, what is complete, what is announced. Each test runs on a SQLite
//! file and on a PostgreSQL server; `sqlite_file` has what is the file's alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Makes two tests of each function that takes a [`feed::Feed`]: `sqlite::name` and `postgres::name`.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::feed::Feed::on(test_database::TestDatabase::sqlite()).await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                // Where it is not installed that is printed.
                let Some(database) = test_database::TestDatabase::postgres() else { return };
                super::$test($crate::feed::Feed::on(database).await).await;
            })*
        }
    };
}

mod agreement;
mod asking;
mod copying;
mod counting;
mod deleting;
mod disagreeing;
mod feed;
mod keeping;
mod new_file;
mod objects;
mod opening;
mod pausing;
mod postgres_server;
mod registering;
mod series_folders;
mod space;
mod sqlite_file;
mod studies;
