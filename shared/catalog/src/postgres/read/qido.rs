//! What QIDO-RS asks for (PS3.18 section 10.6): attributes of studies, series or instances, by any
//! attribute of their own level or one above it.

use super::columns::{expression, object};
use super::matching::push_on;
use crate::attributes::Level;
use crate::error::CatalogError;
use crate::postgres::CatalogReader;
use crate::postgres::filings::{HAS_INSTANCE, HAS_SERIES, filings_in_study};
use crate::records::Details;
use crate::search::LevelSearch;
use contract::attributes::{Attribute, Kind, keyword};
use sqlx::{Postgres, QueryBuilder};
use std::borrow::Cow;

/// Where results are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Where all instances of a series, or all series of a study, are of one patient and study: nearly all.
    Agreeing,
    /// The others. Such a series is one result for each study and patient that its instances name, with
    /// those that do; a study one for each patient.
    Disagreeing,
}

impl Where {
    const ALL: [Self; 2] = [Self::Agreeing, Self::Disagreeing];

    fn tables(self, level: Level) -> &'static str {
        match (level, self) {
            (Level::Study, Self::Agreeing) => {
                " from studies join patients on patients.id = studies.patient
                 where studies.study_instance_uid <> '' and not studies.disagrees"
            }
            (Level::Study, Self::Disagreeing) => {
                concat!(
                    " from studies
                     join patients on patients.id in (select member.patient from ",
                    filings_in_study!(),
                    ") where studies.study_instance_uid <> '' and studies.disagrees"
                )
            }
            (Level::Series, Self::Agreeing) => {
                " from series join patients on patients.id = series.patient
                 join studies on studies.study_instance_uid = series.study_instance_uid
                 where not series.disagrees"
            }
            (Level::Series, Self::Disagreeing) => {
                " from identities
                 join series on series.series_instance_uid = identities.series_instance_uid
                 join patients on patients.id = identities.patient
                 join studies on studies.study_instance_uid = identities.study_instance_uid
                 where series.disagrees and "
            }
            (Level::Instance, Self::Agreeing) => {
                " from instances
                 join series on series.series_instance_uid = instances.series_instance_uid
                 join patients on patients.id = series.patient
                 join studies on studies.study_instance_uid = series.study_instance_uid
                 where not series.disagrees"
            }
            (Level::Instance, Self::Disagreeing) => {
                " from identities
                 join instances on instances.identity = identities.id
                 join series on series.series_instance_uid = instances.series_instance_uid
                 join patients on patients.id = identities.patient
                 join studies on studies.study_instance_uid = identities.study_instance_uid
                 where series.disagrees"
            }
        }
    }

    /// What results are sorted by, newest first, as people look for them; and what decides among equals.
    fn order(self, level: Level) -> &'static str {
        match (level, self) {
            (Level::Study, _) => "studies.arrival, patients.id",
            (Level::Series, Self::Agreeing) => "series.arrival, 0::bigint",
            (Level::Series, Self::Disagreeing) => "series.arrival, identities.id",
            (Level::Instance, _) => "instances.series_instance_uid, instances.added_sequence",
        }
    }

    /// The expression that gives an attribute's value.
    fn column(self, attribute: &Attribute) -> Cow<'static, str> {
        match (attribute.keyword, self) {
            ("NumberOfSeriesRelatedInstances", Self::Disagreeing) => {
                "(select count(*) from instances where instances.identity = identities.id)".into()
            }
            _ => expression(attribute),
        }
    }
}

fn push_conditions(search: &LevelSearch, query: &mut QueryBuilder<Postgres>, place: Where) {
    query.push(place.tables(search.level));
    match (search.level, place) {
        (Level::Study, _) => query.push(HAS_SERIES),
        (Level::Series, Where::Disagreeing) => query.push(HAS_INSTANCE),
        _ => query,
    };
    for (attribute, matching) in &search.matching {
        matching.push_postgres(query, attribute);
    }
    for (requested, matching) in &search.requested {
        let items = expression(keyword::RequestAttributesSequence);
        query.push(format_args!(
            " and exists (select 1 from json_array_elements({items}) as requested(item) where "
        ));
        // The keyword is one of ours, never what somebody sent.
        push_on(matching, query, &format!("(requested.item ->> '{requested}')"), Kind::Text);
        query.push(")");
    }
}

/// The statement of the results.
pub(super) fn push_results(search: &LevelSearch, query: &mut QueryBuilder<Postgres>) {
    let direction = if search.level == Level::Instance { "" } else { " desc" };
    let up_to = i64::from(search.offset) + i64::from(search.limit) + 1;
    // Each half ends by itself, so that no result is made of what comes later.
    for (union, place) in ["(", ") union all ("].into_iter().zip(Where::ALL) {
        let values = search.attributes.iter().map(|it| (it.keyword, place.column(it)));
        query.push(format_args!("{union}select {}, {}", object(values), place.order(search.level)));
        push_conditions(search, query, place);
        query.push(format_args!(" order by 2{direction}, 3 limit ")).push_bind(up_to);
    }
    query.push(format_args!(") order by 2{direction}, 3 limit "));
    query.push_bind(i64::from(search.limit) + 1);
    query.push(" offset ").push_bind(i64::from(search.offset));
}

impl CatalogReader {
    pub(crate) async fn search(
        &self,
        search: &LevelSearch,
    ) -> Result<(Vec<Details>, bool), CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new("");
        push_results(search, &mut query);
        Ok(search.cut(self.collect(query).await?))
    }

    pub(crate) async fn count_found(&self, search: &LevelSearch) -> Result<u64, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new("select (select count(*)");
        push_conditions(search, &mut query, Where::Agreeing);
        query.push(") + (select count(*)");
        push_conditions(search, &mut query, Where::Disagreeing);
        query.push(")");
        self.count(query).await
    }
}
