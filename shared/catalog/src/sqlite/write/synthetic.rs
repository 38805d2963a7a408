//! A catalogue full of series that nobody ever sent, for those who measure how it is read.

use crate::error::CatalogError;
use crate::sqlite::CatalogWriter;

/// Series that are written in one transaction.
const CHUNK: u32 = 50_000;

/// When the first of them was complete: nanoseconds since 1970, UTC. They follow each other by a
/// millisecond.
const BEGIN: i64 = 1_770_091_506_000_789_000;

/// A counter of the rows from `?1` up to, but without, `?2`.
const ROWS: &str = "with recursive row (n) as
    (select ?1 union all select n + 1 from row where n + 1 < ?2) ";

/// The rows of one table each. UIDs are as long as those of scanners, and scattered over their index.
const INSERTS: [&str; 4] = [
    "insert into patients
        (patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
     select printf('PAT-%07d', n / 4), '', printf('Bench^Patient %d', n / 4), '19000101', 'O'
     from row where n % 4 = 0",
    "insert into studies
        (study_instance_uid, patient, study_date, study_time, accession_number, study_description)
     select printf('1.2.840.113619.2.408.14196467.2.%d', n / 4),
         (select id from patients where patient_id = printf('PAT-%07d', n / 4)),
         '20260203', '101500', printf('ACC%09d', n / 4), 'Kopf^Routine'
     from row where n % 4 = 0",
    "insert into series
        (series_instance_uid, study_instance_uid, patient, modality, series_number,
         series_description, body_part_examined, manufacturer, calling_ae_title, source, state,
         revision, reason, instances_count, first_completed_at, completed_at)
     select printf('1.2.840.113619.2.408.14196467.3.%d', n * 7919 % 1000003 + n * 1000003),
         study_instance_uid, patient, 'MR', n % 4 + 1, 't2_tse_tra_p2_5mm', 'HEAD', 'SIEMENS',
         'MRC41234', 'dicom', 'complete', 1, 'released', 100, ?3 + n * 1000000, ?3 + n * 1000000
     from row join studies
         on study_instance_uid = printf('1.2.840.113619.2.408.14196467.2.%d', n / 4)",
    "insert into revisions
        (series_instance_uid, revision, reason, instances_count, instances_added,
         instances_corrected, calling_ae_title, completed_at, completed_sequence)
     select printf('1.2.840.113619.2.408.14196467.3.%d', n * 7919 % 1000003 + n * 1000003),
         1, 'released', 100, 100, 0, 'MRC41234', ?3 + n * 1000000, n * 100
     from row",
];

impl CatalogWriter {
    pub(crate) async fn fill(&self, series: u32) -> Result<(), CatalogError> {
        for begin in (0..series).step_by(CHUNK as usize) {
            let mut transaction = self.begin_write().await?;
            for insert in INSERTS {
                sqlx::query(sqlx::AssertSqlSafe(format!("{ROWS}{insert}")))
                    .bind(begin)
                    .bind(series.min(begin + CHUNK))
                    .bind(BEGIN)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}
