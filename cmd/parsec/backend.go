package main

import "github.com/spf13/cobra"

func (p program) backendCommand() *cobra.Command {
	backend := p.group("backend", "The server and its administration.")
	backend.AddCommand(p.backendRunCommand(), p.backendConfigCommand(), p.backendMigrateCommand(),
		p.backendBlockstoreCommand(), p.importCommand(), p.checkCommand(), p.backendHealthcheckCommand(), p.backendEmailCommand(), p.sendTestMailCommand(),
		p.realmCommand(), p.sequesterCommand(), p.humanAccessesCommand(),
		p.backendBackupCommand(), p.backendRestoreCommand(), p.backendUpgradeCommand())
	return backend
}
