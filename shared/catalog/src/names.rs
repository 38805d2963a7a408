//! What of a person's name counts in a search (PS3.4 section C.2.2.2.1, PS3.5 section 6.2.1), whatever database
//! looks for it.

/// What stands around the components of a name and says nothing.
const EMPTY: [char; 2] = ['^', ' '];

/// A name without the empty components at its end, those too that may be anything: `Roe^*` is also whoever is
/// called Roe and has no given name.
pub(crate) fn stem(name: &str) -> &str {
    let without = name.trim_end_matches(['^', ' ', '*']);
    let rest = &name[without.len()..];
    match rest.find(EMPTY).map(|at| &name[..without.len() + at]) {
        // A star that belongs to the last component stays.
        Some(stem) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// Whether a component group may be anything.
pub(crate) fn is_universal(group: &str) -> bool {
    group.chars().all(|character| EMPTY.contains(&character) || character == '*')
}

/// Whether a name has a letter beyond ASCII that has another case.
pub(crate) fn has_case_beyond_ascii(name: &str) -> bool {
    name.contains(|letter: char| !letter.is_ascii() && other_case(letter).is_some())
}

/// The other case of a letter that has one, where that is one letter too.
pub(crate) fn other_case(letter: char) -> Option<char> {
    fn single(mut letters: impl Iterator<Item = char>) -> Option<char> {
        let letter = letters.next()?;
        letters.next().is_none().then_some(letter)
    }
    let cases = [single(letter.to_lowercase()), single(letter.to_uppercase())];
    cases.into_iter().flatten().find(|other| *other != letter)
}

/// A pattern of DICOM as `like` has it, with `\` as its escape character.
pub(crate) fn like(pattern: &str) -> String {
    let mut like = String::with_capacity(pattern.len());
    for character in pattern.chars() {
        match character {
            '*' => like.push('%'),
            '?' => like.push('_'),
            '%' | '_' | '\\' => like.extend(['\\', character]),
            other => like.push(other),
        }
    }
    like
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_components_at_the_end_say_nothing() {
        for (name, expected) in [
            ("Roe", "Roe"),
            ("Roe^", "Roe"),
            ("Roe^Jane^^ ", "Roe^Jane"),
            ("Roe^*", "Roe"),
            ("Roe^J*", "Roe^J*"),
            ("Roe*", "Roe*"),
            ("Roe*^*^", "Roe*"),
            ("*", "*"),
        ] {
            assert_eq!(stem(name), expected, "{name}");
        }
    }
}
