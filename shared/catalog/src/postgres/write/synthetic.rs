//! The series that SQLite gets too, for those who measure how they are read.

use crate::error::CatalogError;
use crate::postgres::CatalogWriter;
use sqlx::Executor as _;

/// The rows of one table each, from `$1` up to `$2`. UIDs are as long as those of scanners, and scattered over their
/// index. The first of them was complete at 1770091506000789000, and the others follow by a millisecond.
const INSERTS: [&str; 4] = [
    "insert into patients
        (key, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
     select sha256(('PAT-' || lpad((n / 4)::text, 7, '0'))::bytea), 'PAT-' || lpad((n / 4)::text, 7, '0'), '',
         'Bench^Patient ' || n / 4, '19000101', 'O'
     from generate_series($1::bigint, $2::bigint) n where n % 4 = 0",
    "insert into studies
        (study_instance_uid, patient, study_date, study_time, accession_number, study_description)
     select '1.2.840.113619.2.408.14196467.2.' || n / 4, id,
         '20260203', '101500', 'ACC' || lpad((n / 4)::text, 9, '0'), 'Kopf^Routine'
     from generate_series($1::bigint, $2::bigint) n
     join patients on patients.key = sha256(('PAT-' || lpad((n / 4)::text, 7, '0'))::bytea)
     where n % 4 = 0 order by n",
    "insert into series
        (series_instance_uid, study_instance_uid, patient, modality, series_number,
         series_description, body_part_examined, manufacturer, calling_ae_title, source, state,
         revision, reason, instances_count, first_completed_at, completed_at)
     select '1.2.840.113619.2.408.14196467.3.' || n * 7919 % 1000003 + n * 1000003,
         study_instance_uid, patient, 'MR', n % 4 + 1, 't2_tse_tra_p2_5mm', 'HEAD', 'SIEMENS',
         'MRC41234', 'dicom', 'complete', 1, 'released', 100,
         1770091506000789000 + n * 1000000, 1770091506000789000 + n * 1000000
     from generate_series($1::bigint, $2::bigint) n
     join studies on study_instance_uid = '1.2.840.113619.2.408.14196467.2.' || n / 4 order by n",
    "insert into revisions
        (series_instance_uid, revision, reason, instances_count, instances_added,
         instances_corrected, calling_ae_title, completed_at, completed_sequence)
     select '1.2.840.113619.2.408.14196467.3.' || n * 7919 % 1000003 + n * 1000003,
         1, 'released', 100, 100, 0, 'MRC41234', 1770091506000789000 + n * 1000000, n * 100
     from generate_series($1::bigint, $2::bigint) n",
];

/// Series that are written in one transaction: a multiple of those of a study.
const CHUNK: u32 = 50_000;

impl CatalogWriter {
    pub(crate) async fn fill(&self, series: u32) -> Result<(), CatalogError> {
        for begin in (0..series).step_by(CHUNK as usize) {
            let mut transaction = self.begin_write().await?;
            for insert in INSERTS {
                sqlx::query(insert)
                    .bind(i64::from(begin))
                    .bind(i64::from(series.min(begin + CHUNK)) - 1)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
        }
        // As the server does by itself some time later.
        let mut owned = self.acquire().await?;
        owned.execute("vacuum analyze").await?;
        owned.release();
        Ok(())
    }
}
