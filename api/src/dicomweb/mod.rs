//! DICOMweb under `/dicom-web`: QIDO-RS, WADO-RS, and the JSON that they return.

mod data_set;
pub mod dicom_json;
pub mod qido;
pub mod query;
mod rendering;
pub mod retrieve;

use catalog::CatalogReader;
use poem::Route;
use retrieve::{InstanceStore, Resource, Retrieve};

/// All resources under `/dicom-web`.
#[must_use]
pub fn routes(catalog: &CatalogReader, store: &InstanceStore) -> Route {
    const STUDY: &str = "/studies/:study";
    const SERIES: &str = "/studies/:study/series/:series";
    const INSTANCE: &str = "/studies/:study/series/:series/instances/:instance";
    let at = |resource| Retrieve { catalog: catalog.clone(), store: store.clone(), resource };
    let mut routes = Route::new();
    for path in [STUDY, SERIES, INSTANCE] {
        routes = routes
            .at(path, at(Resource::Instances))
            .at(format!("{path}/metadata"), at(Resource::Metadata))
            .at(format!("{path}/thumbnail"), at(Resource::Thumbnail));
    }
    let routes = routes
        .at(format!("{INSTANCE}/frames/:frames"), at(Resource::Frames))
        .at(format!("{INSTANCE}/rendered"), at(Resource::Rendered))
        .at(format!("{INSTANCE}/frames/:frames/rendered"), at(Resource::Rendered))
        .at(format!("{INSTANCE}/frames/:frames/thumbnail"), at(Resource::Thumbnail))
        .at(format!("{INSTANCE}/bulkdata/*path"), at(Resource::BulkData));
    qido::add(routes, catalog, store)
}
