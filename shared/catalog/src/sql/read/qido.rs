//! What QIDO-RS asks for (PS3.18 section 10.6): attributes of studies, series or instances, by any
//! attribute of their own level or one above it.

use super::database::CatalogReader;
use super::database::dialect::Database;
use super::database::read::columns::object;
use super::database::read::conditions::{HAS_SERIES, items};
use super::database::read::paging::{HALVES, HALVES_END, ROWS, push_end_of_half};
use super::expressions::expression;
use super::filings::HAS_INSTANCE;
use super::matching::{self, push_on};
use crate::attributes::Level;
use crate::error::CatalogError;
use crate::records::Details;
use crate::search::{KEPT, LevelSearch};
use contract::attributes::{Attribute, Kind, keyword};
use sqlx::QueryBuilder;
use std::borrow::Cow;

/// The beginning of an expression that counts none, some or all instances for [`KEPT`].
macro_rules! kept {
    () => {
        "(select coalesce(min(case when object_key is null then 0 else 1 end)
             + max(case when object_key is null then 0 else 1 end), 0) from instances "
    };
}

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
            (Level::Study, Self::Agreeing) => concat!(
                " from studies join patients on patients.id = studies.patient
                 where studies.study_instance_uid <> '' and ",
                agrees!("studies")
            ),
            (Level::Study, Self::Disagreeing) => concat!(
                " from studies",
                by_index!("disagreeing_studies"),
                then_join!(),
                "patients on patients.id in (select member.patient from ",
                filings_in_study!(),
                ") where studies.study_instance_uid <> '' and ",
                disagrees!("studies")
            ),
            (Level::Series, Self::Agreeing) => {
                concat!(" from series", join_owners!(), "where ", agrees!("series"))
            }
            (Level::Series, Self::Disagreeing) => concat!(
                " from identities
                 join series on series.series_instance_uid = identities.series_instance_uid",
                join_owners_of_identities!(),
                "where ",
                disagrees!("series"),
                " and "
            ),
            (Level::Instance, Self::Agreeing) => concat!(
                " from instances
                 join series on series.series_instance_uid = instances.series_instance_uid",
                join_owners!(),
                "where ",
                agrees!("series")
            ),
            (Level::Instance, Self::Disagreeing) => concat!(
                " from identities
                 join instances on instances.identity = identities.id
                 join series on series.series_instance_uid = instances.series_instance_uid",
                join_owners_of_identities!(),
                "where ",
                disagrees!("series")
            ),
        }
    }

    /// What results are sorted by, newest first, as people look for them; and what decides among equals.
    fn order(self, level: Level) -> &'static str {
        match (level, self) {
            (Level::Study, _) => concat!(arrival!("studies"), ", patients.id"),
            (Level::Series, Self::Agreeing) => concat!(arrival!("series"), ", cast(0 as bigint)"),
            (Level::Series, Self::Disagreeing) => concat!(arrival!("series"), ", identities.id"),
            (Level::Instance, _) => "instances.series_instance_uid, instances.added_sequence",
        }
    }

    /// The expression that gives how many instances have objects in the instance store.
    fn kept(self, level: Level) -> &'static str {
        match (level, self) {
            (Level::Study, _) => concat!(
                kept!(),
                "join series as member on member.series_instance_uid = instances.series_instance_uid
                 where member.study_instance_uid = studies.study_instance_uid)"
            ),
            (Level::Series, Self::Agreeing) => concat!(
                kept!(),
                "where instances.series_instance_uid = series.series_instance_uid)"
            ),
            (Level::Series, Self::Disagreeing) => {
                concat!(kept!(), "where instances.identity = identities.id)")
            }
            (Level::Instance, _) => "case when instances.object_key is null then 0 else 2 end",
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

fn push_conditions(search: &LevelSearch, query: &mut QueryBuilder<Database>, place: Where) {
    query.push(place.tables(search.level));
    match (search.level, place) {
        (Level::Study, _) => query.push(HAS_SERIES),
        (Level::Series, Where::Disagreeing) => query.push(HAS_INSTANCE),
        _ => query,
    };
    for (attribute, matching) in &search.matching {
        matching::push(matching, query, attribute);
    }
    for (requested, matching) in &search.requested {
        let items = items(&expression(keyword::RequestAttributesSequence));
        query.push(concat!(" and ", any_from!())).push(items).push(" where ");
        // The keyword is one of ours, never what somebody sent.
        push_on(matching, query, &format!("(item.value ->> '{requested}')"), Kind::Text);
        query.push(any_end!());
    }
}

/// The statement of the results, after its beginning.
pub(crate) fn push_results(search: &LevelSearch, query: &mut QueryBuilder<Database>) {
    let direction = if search.level == Level::Instance { "" } else { " desc" };
    let up_to = i64::from(search.offset) + i64::from(search.limit) + 1;
    let order = format!("2{direction}, 3");
    for (half, place) in HALVES.into_iter().zip(Where::ALL) {
        let values = search.attributes.iter().map(|it| (it.keyword, place.column(it)));
        let kept = search.with_objects.then(|| (KEPT, place.kept(search.level).into()));
        let object = object(values.chain(kept));
        query.push(format_args!("{half}select {object} as row, {}", place.order(search.level)));
        push_conditions(search, query, place);
        push_end_of_half(query, &order, up_to);
    }
    query.push(format_args!("{HALVES_END} order by {order} limit "));
    query.push_bind(i64::from(search.limit) + 1);
    query.push(" offset ").push_bind(i64::from(search.offset));
}

impl CatalogReader {
    pub(crate) async fn search(
        &self,
        search: &LevelSearch,
    ) -> Result<(Vec<Details>, bool), CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new(ROWS);
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
