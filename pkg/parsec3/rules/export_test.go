package rules

// MaxVerified is how many tokens a generation of those that are remembered has.
const MaxVerified = maxVerified

// Verified counts the tokens that are remembered.
func (r *Rules) Verified() int {
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	return len(r.tokens.recent) + len(r.tokens.older)
}

// MaxHeldSteps is how many steps of greetings may wait.
const MaxHeldSteps = maxHeldSteps

// HoldSteps has more steps count as waiting.
func (r *Rules) HoldSteps(more int64) { r.heldSteps.Add(more) }

// Settle waits until the e-mails in the background are sent.
func (r *Rules) Settle() { r.mails.work.Wait() }

// MailboxOf returns what an address counts as.
var MailboxOf = mailboxOf
