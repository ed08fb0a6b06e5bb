package rules_test

import (
	"context"
	"sync"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// mailer answers as it is told, and keeps what it is asked for.
type mailer struct {
	outcome protocol.EmailSent
	// reset is the outcome of the e-mail about a second factor, and resetting is called
	// before; nil is for nothing.
	reset     organization.EmailOutcome
	resetting func()

	mu          sync.Mutex
	invitations []rules.InvitationMail
	enrollments []rules.EnrollmentMail
	resets      []rules.TOTPMail
	accounts    []rules.AccountMail
}

// keep adds what the mailer is asked for to a list of its own.
func keep[Mail any](m *mailer, list *[]Mail, mail Mail) protocol.EmailSent {
	m.mu.Lock()
	defer m.mu.Unlock()
	*list = append(*list, mail)
	return m.outcome
}

func (m *mailer) SendInvitation(_ context.Context, mail rules.InvitationMail) protocol.EmailSent {
	return keep(m, &m.invitations, mail)
}

func (m *mailer) SendEnrollmentAccepted(_ context.Context, mail rules.EnrollmentMail) protocol.EmailSent {
	return keep(m, &m.enrollments, mail)
}

func (m *mailer) SendTOTPReset(_ context.Context, mail rules.TOTPMail) organization.EmailOutcome {
	if m.resetting != nil {
		m.resetting()
	}
	keep(m, &m.resets, mail)
	return m.reset
}

func (m *mailer) SendAccount(_ context.Context, mail rules.AccountMail) protocol.EmailSent {
	return keep(m, &m.accounts, mail)
}

// take returns the e-mails about invitations, once each.
func (m *mailer) take() []rules.InvitationMail {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.invitations
	m.invitations = nil
	return taken
}
