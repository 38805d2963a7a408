"""The bodies of the API. Made of api/openapi.json by generate.py: do not edit."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Activity(TypedDict):
    "What was completed in 24 hours. A series counts once, in the hour of its last completion"

    Hours: list[Hour]
    Senders: list[SenderActivity]


class Associations(TypedDict):
    "What senders did lately, by the associations that ended"

    Senders: list[SenderAssociations]
    Since: str


class CompletionEvidence(TypedDict):
    "What was known of a series when a completion was decided"

    CompletedAt: str
    Evidence: list[KnownEvidence]
    ExpectedCount: NotRequired[int]
    Fetched: NotRequired[int]
    InstancesCount: int
    MissingInstances: list[str]
    Reason: str
    Revision: int


class DeadLetter(TypedDict):
    "Something that could not be processed"

    Bytes: int
    DeadAt: str
    Error: str
    OriginalSequence: NotRequired[int]
    OriginalStream: NotRequired[str]
    OriginalSubject: NotRequired[str]
    Reason: str
    Sequence: int
    TruncatedFrom: NotRequired[int]


class Deployment(TypedDict):
    "The nodes of the deployment, and the streams that they share"

    Nodes: list[Node]
    Streams: list[Stream]


class DicomJsonAttribute(TypedDict):
    "One attribute in the DICOM JSON model (PS3.18 section F.2)"

    Value: NotRequired[list[Any]]
    vr: str


class DisagreeingValue(TypedDict):
    "One of the values"

    Instances: int
    Value: str


class Disagreement(TypedDict):
    "An attribute in which the instances of one series, or of one study, differ"

    Keyword: str
    OtherInstances: NotRequired[int]
    Values: list[DisagreeingValue]


class Evidence(TypedDict):
    "Whether a kind of evidence of a sender is trusted"

    DisprovedAt: NotRequired[str]
    DisprovedBy: NotRequired[str]
    Trusted: bool


class FieldError(TypedDict):
    "One field of a request that is wrong."

    detail: str
    field: str


class Follower(TypedDict):
    "A server that keeps a stream beside its leader"

    Away: bool
    Behind: bool
    Lag: int
    Name: str


class Hour(TypedDict):
    "What was completed in an hour"

    From: str
    Instances: int
    Series: int


class Instance(TypedDict):
    "An instance"

    AcquisitionDate: NotRequired[str]
    AcquisitionNumber: NotRequired[str]
    AcquisitionTime: NotRequired[str]
    AssociationID: str
    BitsAllocated: NotRequired[int]
    Bytes: int
    Columns: NotRequired[int]
    ContentDate: NotRequired[str]
    ContentTime: NotRequired[str]
    FrameOfReferenceUID: NotRequired[str]
    ImageType: NotRequired[str]
    InstanceNumber: NotRequired[str]
    NumberOfFrames: NotRequired[int]
    ReceivedAt: NotRequired[str]
    Rows: NotRequired[int]
    SOPClassUID: str
    SOPInstanceUID: str
    TransferSyntaxUID: str


class Kept(TypedDict):
    "The folder of a revision in the instance store"

    At: str
    Place: str
    Revision: int


class KnownEvidence(TypedDict):
    "Evidence that a series is complete, or is not"

    CallingAETitle: NotRequired[str]
    Discontinued: NotRequired[bool]
    InstancesCount: NotRequired[int]
    Kind: str
    MissingCount: NotRequired[int]


class Node(TypedDict):
    "A service on one machine"

    AETitle: NotRequired[str]
    DicomPort: NotRequired[int]
    DicomTlsPort: NotRequired[int]
    Host: NotRequired[str]
    NodeName: NotRequired[str]
    Ready: bool
    Reason: NotRequired[str]
    Role: NotRequired[str]
    Service: str
    StartedAt: NotRequired[str]
    Version: str


class Pauses(TypedDict):
    "The longest pause of each completed series of a sender, of its latest 500 to 1,000"

    Max: float
    P50: float
    P99: float
    SeriesCount: int
    SuggestedQuietPeriod: NotRequired[float]


class Problem(TypedDict):
    "Problem details (RFC 9457): what went wrong and what to do about it."

    detail: str
    errors: NotRequired[list[FieldError]]
    status: int
    title: str
    type: str


class RefusedInstances(TypedDict):
    "Refused instances that were answered alike"

    Count: int
    ErrorComment: str
    LastAt: str
    Status: str


class RequestAttributes(TypedDict):
    "What was asked of the modality for a series"

    RequestedProcedureID: NotRequired[str]
    ScheduledProcedureStepID: NotRequired[str]


class RequestMessage(TypedDict):
    "The outcome of a request"

    message: str


class Revision(TypedDict):
    "One completion of a series, or its deletion"

    CallingAETitle: NotRequired[str]
    CompletedAt: NotRequired[str]
    DeletedAt: NotRequired[str]
    ExpectedCount: NotRequired[int]
    InstancesAdded: int
    InstancesCorrected: int
    InstancesCount: int
    InstancesSequence: NotRequired[int]
    Kept: NotRequired[Kept]
    Reason: str
    Revision: int


class SenderActivity(TypedDict):
    "What came from a sender"

    CallingAETitle: str
    Instances: int
    Series: int


class SenderAssociations(TypedDict):
    "What a sender did"

    Aborted: int
    Accepted: int
    Addresses: list[str]
    CallingAETitle: str
    FirstAt: str
    LastAt: str
    LastCause: NotRequired[str]
    LastEnding: str
    Refusals: list[RefusedInstances]
    Refused: int
    Rejected: int
    Released: int
    TLS: NotRequired[bool]


class Series(TypedDict):
    "A series"

    CallingAETitle: NotRequired[str]
    CompletedAt: NotRequired[str]
    Disagrees: NotRequired[list[Disagreement]]
    InstancesCount: int
    InstancesReceived: NotRequired[int]
    Modality: NotRequired[str]
    PatientID: str
    PatientName: str
    Reason: NotRequired[str]
    Revision: int
    SeriesDescription: NotRequired[str]
    SeriesInstanceUID: str
    SeriesNumber: NotRequired[str]
    Source: str
    State: str
    StudyDate: NotRequired[str]
    StudyInstanceUID: str


class SeriesDetails(TypedDict):
    "All that is known of a series"

    AccessionNumber: NotRequired[str]
    BodyPartExamined: NotRequired[str]
    CallingAETitle: NotRequired[str]
    ClaimedCount: NotRequired[int]
    CompletedAt: NotRequired[str]
    Disagreements: NotRequired[list[Disagreement]]
    Disagrees: bool
    ExpectedCount: NotRequired[int]
    FirstCompletedAt: NotRequired[str]
    FirstReceivedAt: NotRequired[str]
    Held: NotRequired[bool]
    ImagesInAcquisition: NotRequired[int]
    InstancesCount: int
    InstancesReceived: int
    InstancesSequence: NotRequired[int]
    InstitutionName: NotRequired[str]
    IssuerOfPatientID: NotRequired[str]
    Kept: NotRequired[Kept]
    LastActivityAt: NotRequired[str]
    LastReceivedAt: NotRequired[str]
    Manufacturer: NotRequired[str]
    ManufacturerModelName: NotRequired[str]
    Modality: NotRequired[str]
    Partial: bool
    PatientBirthDate: NotRequired[str]
    PatientID: str
    PatientName: str
    PatientSex: NotRequired[str]
    PerformedProcedureStepStartDate: NotRequired[str]
    PerformedProcedureStepStartTime: NotRequired[str]
    ProtocolName: NotRequired[str]
    Reason: NotRequired[str]
    ReferringPhysicianName: NotRequired[str]
    RequestAttributesSequence: NotRequired[list[RequestAttributes]]
    Revision: int
    SeriesDate: NotRequired[str]
    SeriesDescription: NotRequired[str]
    SeriesInstanceUID: str
    SeriesNumber: NotRequired[str]
    SeriesTime: NotRequired[str]
    Source: str
    SpecificCharacterSet: NotRequired[str]
    State: str
    StationName: NotRequired[str]
    StudyDate: NotRequired[str]
    StudyDescription: NotRequired[str]
    StudyID: NotRequired[str]
    StudyInstanceUID: str
    StudyTime: NotRequired[str]
    TimezoneOffsetFromUTC: NotRequired[str]


class SeriesPart(TypedDict):
    "Those keys of a series that `fields` names"

    CallingAETitle: NotRequired[str]
    CompletedAt: NotRequired[str]
    Disagrees: NotRequired[list[Disagreement]]
    InstancesCount: NotRequired[int]
    InstancesReceived: NotRequired[int]
    Modality: NotRequired[str]
    PatientID: NotRequired[str]
    PatientName: NotRequired[str]
    Reason: NotRequired[str]
    Revision: NotRequired[int]
    SeriesDescription: NotRequired[str]
    SeriesInstanceUID: NotRequired[str]
    SeriesNumber: NotRequired[str]
    Source: NotRequired[str]
    State: NotRequired[str]
    StudyDate: NotRequired[str]
    StudyInstanceUID: NotRequired[str]


class Source(TypedDict):
    "A sender"

    Available: Evidence
    CallingAETitle: str
    Confirmed: Evidence
    Expected: Evidence
    LastSeenAt: str
    Pauses: NotRequired[Pauses]
    Performed: Evidence
    Released: Evidence


class Stats(TypedDict):
    "How much there is in the catalogue"

    InstancesCount: int
    LastCompletedAt: NotRequired[str]
    NotIndexed: NotRequired[int]
    Patients: int
    SeriesByModality: dict[str, int]
    SeriesByReason: dict[str, int]
    SeriesComplete: int
    SeriesReceiving: int
    Studies: int
    Unannounced: int


class StoreMessage(TypedDict):
    "The outcome of storing a series"

    message: str


class StoreRequest(TypedDict):
    "A series to store"

    InstancesCount: int
    PatientID: str
    PatientName: str
    SeriesInstanceUID: str
    StudyInstanceUID: str


class Stream(TypedDict):
    "A stream on NATS"

    Bytes: NotRequired[int]
    Followers: list[Follower]
    Leader: NotRequired[str]
    MaxBytes: NotRequired[int]
    Messages: NotRequired[int]
    Name: str
    Reason: NotRequired[str]
    Replicas: NotRequired[int]


class Study(TypedDict):
    "A study"

    AccessionNumber: NotRequired[str]
    CompletedAt: NotRequired[str]
    Disagrees: NotRequired[list[Disagreement]]
    InstancesCount: int
    ModalitiesInStudy: list[str]
    PatientBirthDate: NotRequired[str]
    PatientID: str
    PatientName: str
    PatientSex: NotRequired[str]
    ReferringPhysicianName: NotRequired[str]
    Revision: int
    SeriesCount: int
    SeriesReceiving: int
    State: str
    StudyCompletedAt: NotRequired[str]
    StudyDate: NotRequired[str]
    StudyDescription: NotRequired[str]
    StudyID: NotRequired[str]
    StudyInstanceUID: str
    StudyTime: NotRequired[str]


class Webhook(TypedDict):
    "The webhooks and the state of their deliveries"

    CallingAETitles: list[str]
    DeadLetters: int
    InFlight: int
    LastFailure: NotRequired[str]
    LastFailureAt: NotRequired[str]
    LastSuccessAt: NotRequired[str]
    Modalities: list[str]
    Name: str
    Pending: int
    URL: str


class SeriesFilters(TypedDict, total=False):
    sort: Literal["FirstCompletedAt", "-FirstCompletedAt", "CompletedAt", "-CompletedAt", "Arrival", "-Arrival", "StudyDate", "-StudyDate"]
    PatientID: str
    PatientName: str
    StudyInstanceUID: str
    Modality: str
    AccessionNumber: str
    StudyDate: str
    SeriesDate: str
    State: Literal["complete", "receiving", "all"]
    Source: Literal["dicom", "api"]
    CallingAETitle: str
    CompletedAfter: str
    CompletedBefore: str
