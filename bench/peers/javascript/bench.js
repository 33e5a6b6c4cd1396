'use strict'

class Plugin {
  constructor (config) {
    this.config = config
  }

  async access (kong) {
    const host = await kong.request.get_header('host')
    const agent = await kong.request.get_header('user-agent')
    const kind = await kong.request.get_header('accept')
    const method = await kong.request.get_method()
    const path = await kong.request.get_path()
    await kong.response.set_header('x-from', `${agent} to ${host}`)
    await kong.response.set_header('x-asked', `${method} ${path}`)
    await kong.response.set_header('x-kind', `${kind}`)
  }
}

module.exports = { Plugin, Schema: [], Version: '1.0.0', Priority: 100 }
