//! An audit message as XML, by the schema of PS3.15 section A.5.1. The order of elements is the schema's.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use shared::audit::{
    Action, ActiveParticipant, AuditMessage, AuditSourceIdentification, Code, EventIdentification,
    ParticipantObjectIdentification,
};
use std::io::{Error, Result};

type Out = Writer<Vec<u8>>;

/// The message in one line. What XML can't say, such as control characters, is U+FFFD in it.
///
/// # Errors
/// When it can't be written.
pub fn of(message: &AuditMessage) -> Result<String> {
    let mut out = Writer::new(Vec::new());
    out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    out.create_element("AuditMessage").write_inner_content(|out| {
        event(out, &message.event_identification, message.events())?;
        message.active_participant.iter().try_for_each(|it| participant(out, it))?;
        source(out, &message.audit_source_identification)?;
        message.participant_object_identification.iter().try_for_each(|it| object(out, it))
    })?;
    let written = String::from_utf8(out.into_inner()).map_err(Error::other)?;
    // The markup itself has no such characters.
    let legal = |c: char| match c {
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    Ok(written.chars().map(legal).collect())
}

fn event(out: &mut Out, event: &EventIdentification, events: u64) -> Result<()> {
    let (action, outcome) =
        (letter(event.event_action_code), number(event.event_outcome_indicator));
    let at = event.event_date_time.to_string();
    // The schema has no place for how many they were but this.
    let times = (events > 1).then(|| format!("{events} equal events"));
    let described = event.event_outcome_description.iter().chain(&times).map(String::as_str);
    let described = described.collect::<Vec<_>>().join("; ");
    out.create_element("EventIdentification")
        .with_attributes([
            ("EventActionCode", action),
            ("EventDateTime", &at),
            ("EventOutcomeIndicator", &outcome),
        ])
        .write_inner_content(|out| {
            coded(out, "EventID", &event.event_id.code())?;
            event.event_type_code.iter().try_for_each(|it| coded(out, "EventTypeCode", it))?;
            match described.is_empty() {
                true => Ok(()),
                false => text(out, "EventOutcomeDescription", &described),
            }
        })?;
    Ok(())
}

fn participant(out: &mut Out, participant: &ActiveParticipant) -> Result<()> {
    let is_requestor = participant.user_is_requestor.to_string();
    let access_point = participant.network_access_point_type_code.map(number);
    out.create_element("ActiveParticipant")
        .with_attributes(present([
            ("UserID", Some(&participant.user_id)),
            ("AlternativeUserID", participant.alternative_user_id.as_ref()),
            ("UserName", participant.user_name.as_ref()),
            ("UserIsRequestor", Some(&is_requestor)),
            ("NetworkAccessPointID", participant.network_access_point_id.as_ref()),
            ("NetworkAccessPointTypeCode", access_point.as_ref()),
        ]))
        .write_inner_content(|out| {
            participant.role_id_code.iter().try_for_each(|it| coded(out, "RoleIDCode", it))
        })?;
    Ok(())
}

fn source(out: &mut Out, source: &AuditSourceIdentification) -> Result<()> {
    out.create_element("AuditSourceIdentification")
        .with_attribute(("AuditSourceID", source.audit_source_id.as_str()))
        .write_inner_content(|out| {
            let kind = number(source.audit_source_type_code);
            let kind = ("csd-code", kind.as_str());
            out.create_element("AuditSourceTypeCode").with_attribute(kind).write_empty()?;
            Result::Ok(())
        })?;
    Ok(())
}

fn object(out: &mut Out, object: &ParticipantObjectIdentification) -> Result<()> {
    let (kind, role) = (
        number(object.participant_object_type_code),
        number(object.participant_object_type_code_role),
    );
    out.create_element("ParticipantObjectIdentification")
        .with_attributes(present([
            ("ParticipantObjectID", Some(&object.participant_object_id)),
            ("ParticipantObjectTypeCode", Some(&kind)),
            ("ParticipantObjectTypeCodeRole", Some(&role)),
            ("ParticipantObjectSensitivity", object.participant_object_sensitivity.as_ref()),
        ]))
        .write_inner_content(|out| {
            let named_by = &object.participant_object_id_type_code;
            coded(out, "ParticipantObjectIDTypeCode", named_by)?;
            // The schema wants a name where there is no query, be it an empty one.
            match &object.participant_object_query {
                Some(query) => text(out, "ParticipantObjectQuery", query)?,
                None => {
                    let name = object.participant_object_name.as_deref().unwrap_or_default();
                    text(out, "ParticipantObjectName", name)?;
                }
            }
            for detail in &object.participant_object_detail {
                let pair = [("type", detail.kind.as_str()), ("value", detail.value.as_str())];
                out.create_element("ParticipantObjectDetail")
                    .with_attributes(pair)
                    .write_empty()?;
            }
            match object.accession.is_empty() && object.sop_class.is_empty() {
                true => Ok(()),
                false => description(out, object),
            }
        })?;
    Ok(())
}

fn description(out: &mut Out, object: &ParticipantObjectIdentification) -> Result<()> {
    out.create_element("ParticipantObjectDescription").write_inner_content(|out| {
        for accession in &object.accession {
            let number = ("Number", accession.as_str());
            out.create_element("Accession").with_attribute(number).write_empty()?;
        }
        for class in &object.sop_class {
            let instances = class.number_of_instances.to_string();
            let class = [("UID", class.uid.as_str()), ("NumberOfInstances", &instances)];
            out.create_element("SOPClass").with_attributes(class).write_empty()?;
        }
        Result::Ok(())
    })?;
    Ok(())
}

/// An element that is a coded value.
fn coded(out: &mut Out, name: &str, code: &Code) -> Result<()> {
    out.create_element(name)
        .with_attributes([
            ("csd-code", &*code.csd_code),
            ("codeSystemName", &*code.code_system_name),
            ("originalText", &*code.original_text),
        ])
        .write_empty()?;
    Ok(())
}

/// An element that is text.
fn text(out: &mut Out, name: &str, text: &str) -> Result<()> {
    out.create_element(name).write_text_content(BytesText::new(text))?;
    Ok(())
}

/// The attributes that have a value.
fn present<'a, const N: usize>(
    attributes: [(&'a str, Option<&'a String>); N],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    attributes.into_iter().filter_map(|(name, value)| Some((name, value?.as_str())))
}

fn letter(action: Action) -> &'static str {
    match action {
        Action::Create => "C",
        Action::Read => "R",
        Action::Update => "U",
        Action::Delete => "D",
        Action::Execute => "E",
    }
}

fn number(code: impl Into<u8>) -> String {
    code.into().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    // tests/syslog.rs holds messages against the schema.
    #[test]
    fn a_message_is_written_in_the_order_of_the_schema() {
        let golden = include_str!("../../contract/golden/audit.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let message = serde_json::from_value(golden["payload"].clone()).unwrap();
        let lines = [
            r#"<?xml version="1.0" encoding="UTF-8"?><AuditMessage>"#,
            r#"<EventIdentification EventActionCode="E" EventDateTime="2026-02-03T04:05:07Z""#,
            r#" EventOutcomeIndicator="0">"#,
            r#"<EventID csd-code="110112" codeSystemName="DCM" originalText="Query"/>"#,
            r#"<EventOutcomeDescription>41 equal events</EventOutcomeDescription>"#,
            r#"</EventIdentification>"#,
            r#"<ActiveParticipant UserID="dashboard" UserIsRequestor="true""#,
            r#" NetworkAccessPointID="192.0.2.7" NetworkAccessPointTypeCode="2">"#,
            r#"<RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"/>"#,
            r#"</ActiveParticipant>"#,
            r#"<ActiveParticipant UserID="api@radiology" UserIsRequestor="false">"#,
            r#"<RoleIDCode csd-code="110152" codeSystemName="DCM" originalText="Destination Role ID"/>"#,
            r#"</ActiveParticipant>"#,
            r#"<AuditSourceIdentification AuditSourceID="api@radiology">"#,
            r#"<AuditSourceTypeCode csd-code="3"/></AuditSourceIdentification>"#,
            r#"<ParticipantObjectIdentification ParticipantObjectID="/dicom-web/studies""#,
            r#" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3">"#,
            r#"<ParticipantObjectIDTypeCode csd-code="12" codeSystemName="RFC-3881""#,
            r#" originalText="URI"/>"#,
            r#"<ParticipantObjectQuery>UGF0aWVudE5hbWU9WWFtYWRhKiZsaW1pdD0xMA=="#,
            r#"</ParticipantObjectQuery></ParticipantObjectIdentification></AuditMessage>"#,
        ];
        assert_eq!(of(&message).unwrap(), lines.concat());
    }
}
