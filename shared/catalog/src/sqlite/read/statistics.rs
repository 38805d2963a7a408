//! How much there is in the catalogue.

use crate::encoding::optional_timestamp;
use crate::error::CatalogError;
use crate::records::Statistics;
use crate::sqlite::CatalogReader;
use std::collections::BTreeMap;

/// Series of one modality that are complete by one rule.
#[derive(sqlx::FromRow)]
struct Group {
    modality: Option<String>,
    reason: Option<String>,
    series: i64,
    instances: i64,
    completed_at: Option<i64>,
}

impl CatalogReader {
    /// Counts what there is. It looks at every series once, so ask it seldom.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn statistics(&self) -> Result<Statistics, CatalogError> {
        let _turn = self.long_read().await?;
        let (patients, studies, unannounced, receiving): (i64, i64, i64, i64) = sqlx::query_as(
            "select (select count(*) from patients),
                    (select count(*) from studies where study_instance_uid <> ''),
                    (select count(*) from outbox),
                    (select count(*) from series where state = 'receiving')",
        )
        .fetch_one(&self.pool)
        .await?;
        let groups: Vec<Group> = sqlx::query_as(
            "select modality, reason, count(*) as series, sum(instances_count) as instances,
                    max(completed_at) as completed_at
             from series where revision > 0 group by modality, reason",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut statistics = Statistics {
            patients: patients.unsigned_abs(),
            studies: studies.unsigned_abs(),
            complete: 0,
            receiving: receiving.unsigned_abs(),
            instances: 0,
            by_modality: BTreeMap::new(),
            by_reason: BTreeMap::new(),
            unannounced: unannounced.unsigned_abs(),
            completed_at: None,
        };
        for Group { modality, reason, series, instances, completed_at } in groups {
            let series = series.unsigned_abs();
            statistics.complete += series;
            statistics.instances += instances.unsigned_abs();
            *statistics.by_modality.entry(modality.unwrap_or_default()).or_default() += series;
            *statistics.by_reason.entry(reason.unwrap_or_default()).or_default() += series;
            statistics.completed_at =
                statistics.completed_at.max(optional_timestamp(completed_at)?);
        }
        Ok(statistics)
    }
}
