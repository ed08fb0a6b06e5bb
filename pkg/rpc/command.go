package rpc

// Majors is a set of API majors below 8.
type Majors uint8

// Has reports whether the set holds major.
func (m Majors) Has(major uint32) bool { return major < 8 && m&(1<<major) != 0 }

// Kinds is a set of kinds of callers, one bit for each. Each wing has kinds of
// its own, with names.
type Kinds uint8

// Form is what is known of one form of a command beside its fields. A name may
// have several forms, for distinct majors or kinds of callers, with fields of
// their own.
type Form struct {
	// Name is the value of "cmd".
	Name string
	// Majors and Kinds say who may call this form.
	Majors Majors
	Kinds  Kinds
	// Abandoned commands wait. A new message on their connection abandons
	// them, without reply.
	Abandoned bool
	// Limited commands let strangers write: the server bounds how often one
	// address may send them. SpontaneousOnly ones do so only where anybody may
	// bootstrap an organization.
	Limited, SpontaneousOnly bool
	// NewRequest allocates the request with the defaults of its optional
	// fields.
	NewRequest func() any
}

// Command is one form of a command with the types of its fields.
type Command[Request, Reply any] struct {
	*Form
	// setDefaults sets the optional fields whose default is not zero.
	setDefaults func(*Request)
}

// Option is one more property of a command.
type Option func(*Form)

// Define returns the form name of a command for callers of these majors and
// kinds. It registers nothing.
func Define[Request, Reply any, Kind ~uint8](name string, majors Majors, kinds Kind, options ...Option) *Command[Request, Reply] {
	command := &Command[Request, Reply]{&Form{Name: name, Majors: majors, Kinds: Kinds(kinds)}, func(*Request) {}}
	command.NewRequest = func() any {
		request := new(Request)
		command.setDefaults(request)
		return request
	}
	for _, option := range options {
		option(command.Form)
	}
	return command
}

// WithDefaults has set write the optional fields of each new request whose
// default is not zero. It returns the command.
func (c *Command[Request, Reply]) WithDefaults(set func(*Request)) *Command[Request, Reply] {
	c.setDefaults = set
	return c
}

// Abandoned marks a command that waits.
func Abandoned(form *Form) { form.Abandoned = true }

// Limited marks a command by which strangers write.
func Limited(form *Form) { form.Limited = true }

// LimitedIfSpontaneous marks a command by which strangers write where anybody
// may bootstrap an organization.
func LimitedIfSpontaneous(form *Form) { form.Limited, form.SpontaneousOnly = true, true }
