//! How much there is in the catalogue.

use super::database::CatalogReader;
use crate::error::CatalogError;
use crate::records::{Statistics, StatisticsCounts, StatisticsGroup};

impl CatalogReader {
    pub(crate) async fn statistics(&self) -> Result<Statistics, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut connection = self.connection().await?;
        let counts: StatisticsCounts = sqlx::query_as(
            "select (select count(*) from patients) as patients,
                    (select count(*) from studies where study_instance_uid <> '') as studies,
                    (select count(*) from outbox) as unannounced,
                    (select count(*) from series where state = 'receiving') as receiving",
        )
        .fetch_one(&mut *connection)
        .await?;
        let groups: Vec<StatisticsGroup> = sqlx::query_as(
            "select modality, reason, count(*) as series, cast(sum(instances_count) as bigint) as instances,
                    max(completed_at) as completed_at
             from series where revision > 0 group by modality, reason",
        )
        .fetch_all(&mut *connection)
        .await?;
        Statistics::of(&counts, groups)
    }
}
