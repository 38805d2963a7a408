//! How much there is in the catalogue.

use crate::error::CatalogError;
use crate::records::{Statistics, StatisticsCounts, StatisticsGroup};
use crate::sqlite::CatalogReader;

impl CatalogReader {
    pub(crate) async fn statistics(&self) -> Result<Statistics, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let counts: StatisticsCounts = sqlx::query_as(
            "select (select count(*) from patients) as patients,
                    (select count(*) from studies where study_instance_uid <> '') as studies,
                    (select count(*) from outbox) as unannounced,
                    (select count(*) from series where state = 'receiving') as receiving",
        )
        .fetch_one(&self.pool)
        .await?;
        let groups: Vec<StatisticsGroup> = sqlx::query_as(
            "select modality, reason, count(*) as series, sum(instances_count) as instances,
                    max(completed_at) as completed_at
             from series where revision > 0 group by modality, reason",
        )
        .fetch_all(&self.pool)
        .await?;
        Statistics::of(&counts, groups)
    }
}
