//! What one association was told of the instances that were refused, for the event of its end.

use crate::instance::refusal::Refusal;
use contract::event::RefusalShare;
use dimse::command::error_comment;

/// Different answers that are remembered of one association. A sender that is refused mostly hears the same each time.
pub(crate) const MAX_REFUSALS: usize = 8;

/// The first refusals that differ, in the order in which they came, and how many there were of each.
#[derive(Debug, Default)]
pub(crate) struct RefusalShares(Vec<RefusalShare>);

impl RefusalShares {
    /// Counts one. There is no share of one that differs from all, once as many are remembered as may be.
    pub(crate) fn count(&mut self, refusal: &Refusal) {
        let (status, comment) = (refusal.status.to_string(), error_comment(&refusal.comment));
        let is_same =
            |share: &&mut RefusalShare| share.status == status && share.error_comment == comment;
        if let Some(share) = self.0.iter_mut().find(is_same) {
            share.count += 1;
        } else if self.0.len() < MAX_REFUSALS {
            self.0.push(RefusalShare { status, error_comment: comment, count: 1 });
        }
    }

    /// All of them.
    #[must_use]
    pub(crate) fn into_vec(self) -> Vec<RefusalShare> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimse::Status;

    fn counted(refusals: &[(u16, &str)]) -> Vec<(String, String, u64)> {
        let mut shares = RefusalShares::default();
        for (status, comment) in refusals {
            shares.count(&Refusal::new(Status::of(*status), "cause", *comment));
        }
        let share = |it: RefusalShare| (it.status, it.error_comment, it.count);
        shares.into_vec().into_iter().map(share).collect()
    }

    #[test]
    fn equal_answers_are_counted_together_in_the_order_of_the_first() {
        let counted =
            counted(&[(0xA700, "full"), (0xC000, "full"), (0xA700, "full"), (0xA700, "slow")]);
        let expected = [("0xA700", "full", 2), ("0xC000", "full", 1), ("0xA700", "slow", 1)];
        assert_eq!(counted, expected.map(|(status, text, n)| (status.into(), text.into(), n)));
    }

    #[test]
    fn a_ninth_answer_is_left_out_and_the_first_eight_are_still_counted() {
        let comments: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        let mut refusals: Vec<_> = comments.iter().map(|it| (0xA700, &**it)).collect();
        refusals.push((0xA700, "7"));
        let counted = counted(&refusals);
        assert_eq!(counted.len(), MAX_REFUSALS);
        assert_eq!((&*counted[7].1, counted[7].2), ("7", 2));
    }

    #[test]
    fn a_comment_is_as_the_answer_has_it() {
        let counted = counted(&[(0xA700, &("\\ü".to_owned() + &"x".repeat(99)))]);
        assert_eq!(counted[0].1, "??".to_owned() + &"x".repeat(62));
    }
}
