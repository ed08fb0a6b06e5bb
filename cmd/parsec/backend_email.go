package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/mail"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"parsec-server/pkg/config"
	servermail "parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	parsec2mail "parsec-server/pkg/parsec2/mail"
	parsec2protocol "parsec-server/pkg/parsec2/protocol"
	parsec3mail "parsec-server/pkg/parsec3/mail"
	"parsec-server/pkg/parsec3/protocol"
)

func (p program) backendEmailCommand() *cobra.Command {
	group := p.group("email", "The e-mails that the server sends.")
	group.AddCommand(p.emailPreviewCommand(), p.emailTemplatesCommand())
	return group
}

func (p program) emailPreviewCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "preview DIRECTORY",
		Short: "Write every e-mail, with data that was made up, in every language to files of a directory: as text, as HTML, and as it would be sent.",
		Args:  oneArgument("DIRECTORY"),
	}
	options := &settingsFlags{}
	options.defineSome(command.Flags(), "template-dir", "server-addr", "backend-addr", "email-sender",
		"download-url", "documentation-url", "v2-download-url", "v2-documentation-url")
	options.tolerateAll(command.Flags())
	command.RunE = func(command *cobra.Command, args []string) error {
		return p.previewEmails(command.Context(), options, args[0])
	}
	return command
}

func (p program) emailTemplatesCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "templates DIRECTORY",
		Short: "Write the built-in texts of e-mails to files of a new or empty directory, as --template-dir takes them, to begin with.",
		Args:  oneArgument("DIRECTORY"),
	}
	(&settingsFlags{}).tolerateAll(command.Flags())
	command.RunE = func(_ *cobra.Command, args []string) error {
		files := map[string][]byte{}
		for name, text := range servermail.BuiltIn(emailKinds()) {
			files[name] = []byte(text)
		}
		if err := wrongPath("DIRECTORY", writeNew(args[0], files, nil)); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%d texts of e-mails written in %s\n", len(files), args[0])
		return nil
	}
	return command
}

// previewEmails writes every e-mail to files: <generation>/<e-mail>.<language>.<end>,
// of which end is html, txt or eml.
func (p program) previewEmails(ctx context.Context, options *settingsFlags, folder string) error {
	settings, address, err := config.LoadEmail(options.given, p.environment)
	if err != nil {
		return err
	}
	if address == (parsec.ServerAddress{}) {
		if address, err = parsec.Parsec3Scheme.ParseServerAddress("parsec3://parsec.example.com"); err != nil {
			return err
		}
	}
	if settings.Sender == (mail.Address{}) {
		settings.Sender = mail.Address{Name: "Parsec", Address: "no-reply@example.com"}
	}
	post, warning, err := mailOptions(settings)
	if err != nil {
		return err
	}
	if post.Clients, err = config.LoadClients(options.given, p.environment); err != nil {
		return err
	}
	if warning != "" {
		fmt.Fprintln(p.stderr, "Warning:", warning)
	}
	files := map[string][]byte{}
	for _, language := range servermail.Languages() {
		post.Language = language
		if err := takeExamples(ctx, post, address, files); err != nil {
			return err
		}
	}
	if err := wrongPath("DIRECTORY", writeNew(folder, files, slices.Collect(maps.Keys(files)))); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%d files of e-mails written in %s\n", len(files), folder)
	return nil
}

var errNoExample = errors.New("no e-mail could be sent to an example")

// takeExamples adds the files of the e-mails of both generations in one language.
func takeExamples(ctx context.Context, post servermail.Options, address parsec.ServerAddress, files map[string][]byte) error {
	into := func(generation string) func(servermail.Copy) error {
		return func(taken servermail.Copy) error {
			name := filepath.Join(generation, taken.Kind.String()+"."+taken.Language)
			files[name+".html"], files[name+".txt"], files[name+".eml"] = []byte(taken.HTML), []byte(taken.Text), taken.Raw
			return nil
		}
	}
	logger := slog.New(slog.DiscardHandler)
	post.Take = into("parsec2")
	if parsec2mail.New(post, address, logger).SendExamples(ctx, servermail.NewExample()) != parsec2protocol.EmailSuccess {
		return errNoExample
	}
	post.Take = into("parsec3")
	if parsec3mail.New(post, address, logger).SendExamples(ctx, servermail.NewExample()) != protocol.EmailSuccess {
		return errNoExample
	}
	return nil
}

// writeNew writes files in a folder, which it makes. It writes nothing where the folder
// holds anything but regular files of the names that may be replaced.
func writeNew(folder string, files map[string][]byte, replaceable []string) error {
	if target, err := filepath.EvalSymlinks(folder); err == nil {
		folder = target
	}
	folders := []string{"."}
	for name := range files {
		folders = append(folders, filepath.Dir(name))
	}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(folders, name), entry.Type().IsRegular() && slices.Contains(replaceable, name):
			return nil
		default:
			return fmt.Errorf("%s is in the way: nothing is written", path)
		}
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as other files of who calls
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil { //nolint:gosec // they hold no secret
			return err
		}
	}
	return nil
}
