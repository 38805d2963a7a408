-- What people search and sort by, so that an answer costs what it lists and not what there is.

-- All series of a patient; patients themselves are found by their key, which begins with PatientID.
create index series_of_patient on series (patient);
-- What is arriving, in the order in which it began to: a handful among a million.
create index receiving_series on series (state) where state = 'receiving';
-- By the last completion: what is new since.
create index series_by_completion on series (completed_at) where revision > 0;
create index studies_by_date on studies (study_date);
create index studies_by_accession_number on studies (accession_number);
