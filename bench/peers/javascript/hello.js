'use strict'

class Plugin {
  constructor (config) {
    this.config = config
  }

  async access (kong) {
    const host = await kong.request.get_header('host')
    await kong.response.set_header('x-hello', `JavaScript says hi to ${host}`)
  }
}

module.exports = { Plugin, Schema: [], Version: '1.0.0', Priority: 100 }
