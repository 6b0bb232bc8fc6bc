package command

import "github.com/caddyserver/caddy/v2"

var jobsHelp = `
Shows and changes what is in the overflow queue of the gateway that is running. Alone
it does what 'list' does.

A job is a request that is sent to a provider later, or a callback, which tells a
client's server that a request has ended. It is in one of these states:

  available  it runs as soon as a worker is free and nothing more urgent is there
  waiting    nobody can take it now; it waits for room, of a request at its model, of
             a callback at its host
  scheduled  it becomes available at a certain time, as after an attempt that failed
  executing  it runs
  completed  its answer is there for the client to get, until it is removed
  discarded  it was given up; the client gets an error
  cancelled  its client, or an operator, wanted no more

The commands ask the admin endpoint at '` + caddy.DefaultAdminListen + `', unless --address or the
configuration given with --config says another. With --json they print what that
answers. They exit with 1, and say why, if not all could be done.`

const listHelp = `
Prints jobs, the newest first.

  STATE     waiting, executing and so on; 'caddy runestone jobs --help' says what they mean
  MODEL     as the client named it; of a callback, the host
  PRIORITY  from 0, which is served first, to 3
  ATTEMPT   the attempts that were used up, and how many there are
  AGE       how long ago it was queued
  NOTE      what it waits for, how long it has been running, when it ended, or why it
            was given up

With --watch it shows how the queue drains, every second, until Ctrl-C: as a bar, how
many of the requests that were in it since the command began have ended; how many end
in a second, and how long the rest will take at the rate at which the queue becomes
shorter, both of the last 30 seconds; how many there are in each state; the age of the
oldest; what the waiting ones wait for. If the output is no terminal, that is a line
each second, and with --json the queue as the admin endpoint answers it.`

// actionHelp says what an action does.
var actionHelp = map[string]struct{ short, long string }{
	"retry": {"Runs jobs again", `Makes jobs available that wait for room or for their time, or that were discarded or
cancelled. The latter begin anew, with all their attempts, and with as much time as new
ones have.`},
	"cancel": {"Cancels jobs", `Cancels jobs that have not ended. One that runs is cancelled soon; what it has cost so
far is spent.`},
	"discard": {"Gives up jobs", `Gives up jobs that do not run and have not ended. Their clients get an error, and
callbacks if they asked for that. What is discarded can be retried until it is removed.`},
}
