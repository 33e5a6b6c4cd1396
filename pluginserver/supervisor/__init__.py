"""Several processes that serve one socket: ``-processes``.

Theory of operation.  The *supervisor* owns the listening socket and accepts.  It starts N *members*,
processes that each run a whole server, and hands every client to one of them (:mod:`..runtime.handing`).
Which one is decided by the client's process (:mod:`.peers`), so that all connections of one nginx worker,
with the instances and events that it knows, are served by one member.  A *place* is what one member at a
time fills, numbered from 1: when a member ends, another one is started in its place.

Supervisor and member talk over a :class:`~..rpc.link.Link`, in frames that begin with a word::

    supervisor -> member   ["beat"]                    answer at once
                           ["bound", device, inode]    the socket file is another one now
                           ["reload"]                  load the plugins that have changed
                           ["status"]                  tell what there is
                           ["figures", question]       tell what was counted
                           ["whole", number, {...}]    what was counted in all members
                           ["stacks"]                  write all stacks to the log
                           ["stop"]                    let running events finish, and end
                           ["hand over", try]          with a socket: who is there will ask to take over
                           ["commit", try, agreed]     whether all members can hand over
    member -> supervisor   ["ready"]                   the plugins are loaded, clients may come
                           ["beat", connections]       so many are connected
                           ["reloaded"]
                           ["status", {...}]
                           ["survey", number]          what was counted in all members?
                           ["figures", question, {...}]
                           ["take over", msgid, argument]   with a socket: who is there has asked
                           ["prepared", try]           all is told to the successor
                           ["handed over", try, done]  the successor serves, or it does not

A whole takes over from another one with as many members.  The new supervisor asks the old one, and gets a
socket for each of its members that leads to an old one: between these two all goes as it does between two
servers (:mod:`..rpc.handover`).  When every old member is prepared the old supervisor gives the listening
socket away, and which process is served by which place; then the members move their connections.

Rules kept here:

* no plugin's code runs in the supervisor, and it has one thread, which waits for one selector;
* a supervisor that ends, however it ends, ends its members: the link is closed then.
"""
