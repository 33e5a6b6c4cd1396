'use strict'

class Plugin {
  constructor (config) {
    this.config = config
  }

  async access (kong) {
    await kong.request.get_header('host')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

module.exports = { Plugin, Schema: [], Version: '1.0.0', Priority: 100 }
