package mail

import (
	"slices"

	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec3/rules"
)

// The e-mails that API 5 alone sends.
var (
	enrollmentAccepted = newKind("enrollment_accepted", func(l *letters) mail.Letter { return l.enrollmentAccepted }, "organization", "address")
	totpReset          = newKind("totp_reset", func(l *letters) mail.Letter { return l.totpReset }, "organization", "link")

	accountKinds = map[rules.AccountMailKind]*mail.Kind{
		rules.AccountCreation:  newAccountKind("account_creation", rules.AccountCreation, "code"),
		rules.AccountDeletion:  newAccountKind("account_deletion", rules.AccountDeletion, "code"),
		rules.AccountRecovery:  newAccountKind("account_recovery", rules.AccountRecovery, "code"),
		rules.AccountExists:    newAccountKind("account_exists", rules.AccountExists),
		rules.AccountRecovered: newAccountKind("account_recovered", rules.AccountRecovered, "date", "from"),
	}
)

// Kinds returns the e-mails that API 5 sends.
func Kinds() []*mail.Kind {
	return slices.Concat(mail.Invitations(), []*mail.Kind{
		enrollmentAccepted, totpReset, accountKinds[rules.AccountCreation], accountKinds[rules.AccountDeletion],
		accountKinds[rules.AccountRecovery], accountKinds[rules.AccountExists], accountKinds[rules.AccountRecovered],
	})
}

func newKind(name string, letter func(*letters) mail.Letter, names ...string) *mail.Kind {
	inLanguages := map[string]mail.Letter{}
	for tag, words := range languages {
		inLanguages[tag] = letter(words)
	}
	return mail.NewKind(name, inLanguages, names...)
}

func newAccountKind(name string, of rules.AccountMailKind, names ...string) *mail.Kind {
	return newKind(name, func(l *letters) mail.Letter { return l.account[of] }, names...)
}
