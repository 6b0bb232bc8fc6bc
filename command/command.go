// Package command is caddy runestone: what operators see of a running gateway, and do to
// it, over Caddy's admin endpoint.
package command

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "runestone",
		Usage: "<command>",
		Short: "Commands for the LLM gateway",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Args, cmd.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.AddCommand(newStatusCommand(), newTopCommand(), newJobsCommand(), newKeysCommand())
		},
	})
}

// call is a run of one of the commands.
type call struct {
	ctx     context.Context
	cmd     *cobra.Command
	flags   caddycmd.Flags
	args    []string
	address string // of the admin endpoint
	json    bool   // is to be printed
	out     io.Writer
	errs    io.Writer
	now     func() time.Time
}

// onAdmin makes a command's RunE of what it does.
func onAdmin(do func(*call) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return caddycmd.WrapCommandFuncForCobra(func(flags caddycmd.Flags) (int, error) {
			address, err := caddycmd.DetermineAdminAPIAddress(flags.String("address"), nil, flags.String("config"), flags.String("adapter"))
			if err != nil {
				return caddy.ExitCodeFailedStartup, fmt.Errorf("finding the admin endpoint's address: %w", err)
			}
			json, _ := cmd.Flags().GetBool("json") // not all have it
			err = do(&call{
				ctx: cmd.Context(), cmd: cmd, flags: flags, args: args, address: address, json: json,
				out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), now: time.Now,
			})
			if err != nil {
				return caddy.ExitCodeFailedStartup, err
			}
			return caddy.ExitCodeSuccess, nil
		})(cmd, args)
	}
}

// addressFlags declares the flags that say where the admin endpoint is.
func addressFlags(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringP("address", "", "", "Address of the administration API listener (if --config is not used)")
	flags.StringP("config", "c", "", "Configuration file (if --address is not used)")
	flags.StringP("adapter", "a", "", "Name of config adapter to apply (if --config is used)")
}

// ask reads what the admin endpoint answers into v, and returns it as it came.
func (c *call) ask(method, uri string, v any) ([]byte, error) {
	return askJSON(c.address, method, uri, nil, v)
}
