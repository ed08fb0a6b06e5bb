package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"parsec-server/pkg/config"
)

// officialCommand is a command of official programs by which files and scripts that were
// written for them go on (docs/protocol/administration.md §7,
// docs/protocol/v5/administration.md §3).
type officialCommand struct {
	// name is that of the official command, with its group.
	name string
	// ours makes the command that does it here, with the same options.
	ours func(program) *cobra.Command
}

// officialCommands are those that have another name here.
var officialCommands = []officialCommand{
	{"run", program.backendRunCommand},
	{"migrate", program.backendMigrateCommand},
	{"human_accesses", program.humanAccessesCommand},
	{"export_realm", program.exportRealmCommand},
	{"list_deletable_realms", program.realmListCommand},
	{"delete_realm", program.realmDeleteCommand},
	{"export_email", program.emailPreviewCommand},
	{"core create_organization", program.officialCreateCommand},
	{"core status_organization", program.organizationStatusCommand},
	{"core stats_organization", program.organizationStatsCommand},
	{"core stats_server", program.serverStatsCommand},
	{"core list_users", program.officialListUsersCommand},
	{"core freeze_user", program.officialFreezeCommand},
}

// renamedCommands are official ones that take other options than ours: who types them is
// told what to do here.
var renamedCommands = map[string]string{
	"core bootstrap_organization":         "`parsec organization bootstrap` is the same here.",
	"backend init":                        "`parsec backend migrate` does that here.",
	"init":                                "`parsec backend migrate` does that here.",
	"sequester extract_realm_export":      "The command line of clients reads exports, this program writes them.",
	"testbed":                             "`parsec backend run --dev` is a server to try things with.",
	"core gui":                            coreIsElsewhere,
	"core run":                            coreIsElsewhere,
	"core invite_user":                    coreIsElsewhere,
	"core invite_device":                  coreIsElsewhere,
	"core list_devices":                   coreIsElsewhere,
	"core list_invitations":               coreIsElsewhere,
	"core cancel_invitation":              coreIsElsewhere,
	"core claim_invitation":               coreIsElsewhere,
	"core greet_invitation":               coreIsElsewhere,
	"core create_workspace":               coreIsElsewhere,
	"core share_workspace":                coreIsElsewhere,
	"core rsync":                          coreIsElsewhere,
	"core pki_enrollment_submit":          coreIsElsewhere,
	"core pki_enrollment_review_pendings": coreIsElsewhere,
}

const coreIsElsewhere = "That is of the client, which this program is not."

// officialGroups are those whose commands have their official names as aliases.
var officialGroups = []string{"sequester"}

// addOfficial adds the official commands to the root, where no help shows them.
func (p program) addOfficial(root *cobra.Command) {
	core := p.group("core", "What the official client does for administrators.")
	core.Hidden = true
	root.AddCommand(core)
	for _, official := range officialCommands {
		group, name := root, official.name
		if of, inCore := strings.CutPrefix(name, "core "); inCore {
			group, name = core, of
		}
		for _, ours := range group.Commands() {
			ours.Aliases = slices.DeleteFunc(ours.Aliases, func(alias string) bool { return alias == name })
		}
		command := official.ours(p)
		_, arguments, _ := strings.Cut(command.Use, " ")
		command.Use, command.Aliases, command.Hidden = strings.TrimSpace(name+" "+arguments), nil, true
		for _, below := range command.Commands() {
			below.Hidden = true
		}
		if group == core {
			withOfficialLetters(command)
		} else {
			tolerateServerOptions(command)
		}
		group.AddCommand(command)
	}
	for _, group := range root.Commands() {
		if slices.Contains(officialGroups, group.Name()) {
			for _, command := range group.Commands() {
				tolerateServerOptions(command)
			}
		}
	}
}

// tolerateServerOptions has a command take, unseen, the options of the server that it has
// not: official commands take those of logs and of reports, and PARSEC_CMD_ARGS may have
// any.
func tolerateServerOptions(command *cobra.Command) {
	flags := command.Flags()
	flags.AddFlagSet(command.PersistentFlags())
	(&settingsFlags{}).tolerateAll(flags)
}

// officialLetters are those of options of the official client.
var officialLetters = map[string]string{addrOption: "B", tokenOption: "T", expirationDateOption: "E"}

func withOfficialLetters(command *cobra.Command) {
	flags := command.Flags()
	for name, letter := range officialLetters {
		if flag := flags.Lookup(name); flag != nil {
			flags.VarPF(flag.Value, "official-"+name, letter, flag.Usage).Hidden = true
		}
	}
}

// officialCreateCommand is `organization create`, which speaks API 1 where the official
// one would: with a date of expiration.
func (p program) officialCreateCommand() *cobra.Command {
	command := p.organizationCreateCommand()
	check := command.PreRunE
	command.PreRunE = func(command *cobra.Command, args []string) error {
		flags := command.Flags()
		if date := flags.Lookup(expirationDateOption).Value.String(); date != "" {
			for name, text := range map[string]string{webSocketName: "true", expirationDateOption: date} {
				if err := flags.Set(name, text); err != nil {
					return err
				}
			}
		}
		return check(command, args)
	}
	return command
}

// officialListUsersCommand prints a line of each user, as the official one does and scripts
// read, in place of the table of `organization list-users`.
func (p program) officialListUsersCommand() *cobra.Command {
	return p.administrationCommand("list-users", "List the users of an organization that have a name and an e-mail.", p.printUsers)
}

// officialFreezeCommand is `organization freeze` and `unfreeze` in one.
func (p program) officialFreezeCommand() *cobra.Command {
	frozen := true
	command := p.organizationFreezeCommand("freeze", "Keep a user out of an organization, or let it in again.", &frozen)
	flags := command.Flags()
	freeze := flags.Bool("freeze", false, "Keep the user out, as without it.")
	unfreeze := flags.Bool("unfreeze", false, "Let the user in again.")
	check := command.PreRunE
	command.PreRunE = func(command *cobra.Command, args []string) error {
		if *freeze && *unfreeze {
			return &config.UsageError{Message: "--freeze and --unfreeze are both given."}
		}
		frozen = !*unfreeze
		return check(command, args)
	}
	return command
}
