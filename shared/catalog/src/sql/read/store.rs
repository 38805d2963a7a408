//! What the instance store has by the catalogue: the files of instances and the folders of revisions.

use super::database::CatalogReader;
use crate::encoding::json;
use crate::error::CatalogError;
use crate::removals::{KeptFile, Place};
use contract::event::StoredObject;
use std::collections::HashSet;

type Row = (String, String, String, i64, String);

impl CatalogReader {
    pub(crate) async fn kept_files(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<KeptFile>, CatalogError> {
        let mut connection = self.connection().await?;
        let rows: Vec<Row> = sqlx::query_as(
            "select sop_instance_uid, series_instance_uid, object_key, object_bytes, object_blake3
             from instances where sop_instance_uid > $1 and object_key is not null
             order by sop_instance_uid limit $2",
        )
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
        Ok(rows.into_iter().map(kept).collect())
    }

    pub(crate) async fn count_kept_files(&self) -> Result<u64, CatalogError> {
        let mut connection = self.connection().await?;
        let query = "select count(object_key) from instances";
        let count: i64 = sqlx::query_scalar(query).fetch_one(&mut *connection).await?;
        Ok(count.unsigned_abs())
    }

    pub(crate) async fn kept_file(
        &self,
        sop_instance_uid: &str,
    ) -> Result<Option<KeptFile>, CatalogError> {
        let mut connection = self.connection().await?;
        let row: Option<Row> = sqlx::query_as(
            "select sop_instance_uid, series_instance_uid, object_key, object_bytes, object_blake3
             from instances where sop_instance_uid = $1 and object_key is not null",
        )
        .bind(sop_instance_uid)
        .fetch_optional(&mut *connection)
        .await?;
        Ok(row.map(kept))
    }

    pub(crate) async fn kept_places(
        &self,
        (series, revision): (&str, i64),
        limit: u32,
    ) -> Result<Vec<Place>, CatalogError> {
        let mut connection = self.connection().await?;
        let rows: Vec<(String, i64, String)> = sqlx::query_as(
            "select series_instance_uid, revision, kept_place from revisions
             where (series_instance_uid, revision) > ($1, $2)
                 and kept_place is not null and removed_at is null
             order by series_instance_uid, revision limit $3",
        )
        .bind(series)
        .bind(revision)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
        let place =
            |(series_instance_uid, revision, place)| Place { series_instance_uid, revision, place };
        Ok(rows.into_iter().map(place).collect())
    }

    pub(crate) async fn kept_places_of(
        &self,
        series_instance_uid: &str,
    ) -> Result<Vec<String>, CatalogError> {
        let mut connection = self.connection().await?;
        let query = "select kept_place from revisions
            where series_instance_uid = $1 and kept_place is not null and removed_at is null
            order by revision desc";
        let query = sqlx::query_scalar(query).bind(series_instance_uid);
        Ok(query.fetch_all(&mut *connection).await?)
    }

    pub(crate) async fn places_in_use(
        &self,
        places: &[String],
    ) -> Result<HashSet<String>, CatalogError> {
        let mut connection = self.connection().await?;
        let found: Vec<String> = sqlx::query_scalar(concat!(
            "select value ->> 0 from ",
            each_of!("$1"),
            " where exists (select 1 from objects_to_remove
                     where objects_to_remove.place = value ->> 0)
                 or exists (select 1 from series_to_keep where ",
            instr!(),
            "(series_to_keep.objects, value ->> 0) > 0)"
        ))
        .bind(json(&places.iter().map(|place| [place]).collect::<Vec<_>>()))
        .fetch_all(&mut *connection)
        .await?;
        Ok(found.into_iter().collect())
    }
}

fn kept((sop_instance_uid, series_instance_uid, key, bytes, blake3): Row) -> KeptFile {
    let object = StoredObject { key, bytes: bytes.unsigned_abs(), blake3 };
    KeptFile { sop_instance_uid, series_instance_uid, object }
}
