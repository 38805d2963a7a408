//! stub
/// x
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CharacterSets;
/// x
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// x
    PersonName,
    /// x
    Short,
    /// x
    Long,
}
impl CharacterSets {
    /// x
    #[must_use]
    pub fn parse(_raw: &[u8]) -> Self {
        Self
    }
    /// x
    #[must_use]
    pub fn decode(&self, _kind: TextKind, raw: &[u8]) -> String {
        String::from_utf8_lossy(raw).into_owned()
    }
}
